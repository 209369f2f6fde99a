"""Converged extremes: what the errors of all jobs are measured against."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cli.bench.workload import LOSS
from spectra import HessianOperator, Lanczos, SymmetricOperator, draw_probe, make_generator
from spectra.errors import InputError
from spectra.krylov.defaults import FLOOR
from spectra.krylov.tolerance import Tolerance
from spectra.system.files.writing import write_json

# Of the float32 run, whose Ritz vectors the float64 steps start from.
_RUN = Tolerance(1e-3)
RUN_STEPS = 100
# Ours: a run that met the tolerance goes on for half as many steps again, and the lowest three Ritz
# vectors are refined. Without, a reference once was the second-lowest eigenvalue, 1.2 % off: of two
# that close, the one the start vector is poor in comes up late.
GO_ON = 1.5
LOWEST = 3
# In files of references; those of other rules are not read.
_RULE = "extremes, 1.5 times the steps, 3 lowest"
# Ours: the error of a Rayleigh quotient is the square of the residual over the gap, so 1e-2 leaves
# some 1e-4 |θ| in the worst case; the estimate is recorded.
_REFINEMENT = Tolerance(1e-2)
REFINEMENTS = 6
# What counts as "within" for the steps that an oracle would grant.
ORACLE_TOLERANCE = 1e-2


@dataclass(frozen=True)
class ReferenceEnd:
    """One end of the spectrum.

    Attributes:
        value: Rayleigh quotient, float64.
        residual: ‖Hy - value · y‖, float64.
        error_estimate: residual² over the gap to the next Ritz value, or the residual if smaller.
    """

    value: float
    residual: float
    error_estimate: float


@dataclass(frozen=True)
class Reference:
    """Converged extremes of one loss.

    Attributes:
        smallest: lower end.
        largest: upper end.
        run_ratios: |λmin/λmax| of T_k after k = 1, 2, ... steps of the float32 run.
        converged: both residuals are small enough.
    """

    smallest: ReferenceEnd
    largest: ReferenceEnd
    run_ratios: tuple[float, ...]
    converged: bool

    @property
    def ratio(self) -> float:
        """|λmin/λmax|."""
        return ratio_of(self.smallest.value, self.largest.value)

    @property
    def run_error(self) -> float:
        """Relative error of |λmin/λmax| at the end of the float32 run."""
        return relative_error(self.run_ratios[-1], self.ratio)

    @property
    def oracle_steps(self) -> int:
        """Fewest Lanczos steps after which the ratio is, and stays, within 1 % of this one."""
        steps = len(self.run_ratios)
        for found in reversed(self.run_ratios):
            if relative_error(found, self.ratio) > ORACLE_TOLERANCE:
                break
            steps -= 1
        return min(steps + 1, len(self.run_ratios))


def ratio_of(smallest: float, largest: float) -> float:
    """Return |λmin/λmax|; 0 for a zero Hessian."""
    return abs(smallest / largest) if largest else 0.0


def relative_error(found: float, wanted: float) -> float:
    """Return |found - wanted| over ``wanted``, or over what counts as zero where that is larger."""
    return abs(found - wanted) / max(wanted, FLOOR)


def converged_reference(op: HessianOperator, generator: torch.Generator) -> Reference:
    """Run Lanczos on all images, then refine its ends in float64.

    Cost: up to 100 products, 4 in float64, and 2 a refinement.

    Args:
        op: all images, float32 or float64.
        generator: of the start vector.
    """
    run = Lanczos(op, draw_probe(op.size, probe="normal", generator=generator))
    ratios: list[float] = []
    last = min(RUN_STEPS, op.size)
    while len(run) < last and run.step():
        t = run.tridiagonal()
        values = t.ritz_values()
        ratios.append(ratio_of(values[0], values[-1]))
        if _RUN.met_at_ends(values, t.residual_bounds()).all():
            last = min(last, math.ceil(GO_ON * len(run)))
    t = run.tridiagonal()
    values, coefficients = t.ritz_values(), t.ritz_coefficients()
    kept = sorted({*range(min(LOWEST, len(values))), len(values) - 1})
    start = torch.stack([run.ritz_vector(coefficients[:, k]) for k in kept])
    del run
    op.forget()
    gaps = (values[1] - values[0], values[-1] - values[-2]) if len(values) > 1 else (0.0, 0.0)
    found, residuals, converged = _refined(op.in_float64(), start)
    smallest, largest = (
        ReferenceEnd(value, residual, min(residual, residual**2 / gap) if gap > 0 else residual)
        for value, residual, gap in zip(found, residuals, gaps, strict=True)
    )
    return Reference(smallest, largest, tuple(ratios), converged)


def _refined(
    op: SymmetricOperator, start: Tensor
) -> tuple[tuple[float, float], tuple[float, float], bool]:
    """Do Rayleigh-Ritz on a block and its residuals until both ends' residuals are small.

    Returns:
        Both values, both residuals, and whether these are small enough.
    """
    basis = torch.linalg.qr(start.T).Q.T
    products = op.matmat(basis)
    for refinement in range(REFINEMENTS):
        values, vectors = torch.linalg.eigh(0.5 * (basis @ products.T + products @ basis.T))
        ends = vectors[:, [0, -1]].T
        theta = values[[0, -1]]
        residuals = ends @ products - theta[:, None] * (ends @ basis)
        norms = residuals.norm(dim=1)
        converged = bool((norms.cpu().numpy() <= _REFINEMENT.allowed(theta.tolist())).all())
        if converged or refinement == REFINEMENTS - 1 or len(basis) + 2 > op.size:
            break
        new = residuals
        for _ in range(2):
            new = new - (new @ basis.T) @ basis
            new = torch.linalg.qr(new.T).Q.T
        basis, products = torch.cat([basis, new]), torch.cat([products, op.matmat(new)])
    low, high = theta.tolist()
    return (low, high), (float(norms[0]), float(norms[1])), converged


class ReferenceFile:
    """References and product counts that a repeated bench need not compute again.

    Args:
        path: JSON; None: nothing is kept.

    Raises:
        InputError: the file is there and is none of ours.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._entries: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            try:
                self._entries = dict(json.loads(path.read_text(encoding="utf-8"))["entries"])
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path} is not a file of bench references; name another"
                ) from error

    def get(self, key: str, part: str) -> Any:
        """Return what is kept of ``part`` under ``key``, or None."""
        return self._entries.get(key, {}).get(part)

    def put(self, key: str, part: str, value: Any) -> None:
        """Keep ``value``, at once."""
        self._entries.setdefault(key, {})[part] = value
        if self._path is not None:
            write_json(self._path, {"entries": self._entries})


def reference_key(digest: str, label: int, op: HessianOperator) -> str:
    """Return what a reference depends on: weights, class, number and content of images, loss."""
    content = hashlib.sha256(op.images[:].cpu().contiguous().numpy().tobytes()).hexdigest()[:16]
    return f"{digest[:16]} class {label} n {op.num_images} images {content} loss {LOSS}"


def kept_reference(
    op: HessianOperator, *, digest: str, label: int, file: ReferenceFile
) -> Reference:
    """Return the reference that ``file`` has, or compute and keep it."""
    key = reference_key(digest, label, op)
    kept = file.get(key, _RULE)
    if kept is not None:
        return Reference(
            ReferenceEnd(**kept["smallest"]),
            ReferenceEnd(**kept["largest"]),
            tuple(kept["run_ratios"]),
            bool(kept["converged"]),
        )
    found = converged_reference(op, make_generator(0, "bench reference", key))
    file.put(key, _RULE, asdict(found))
    return found
