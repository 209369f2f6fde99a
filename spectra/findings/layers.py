"""The spectra of the layers: of each block of a matrix that belongs to one module's parameters."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spectra.errors import InputError, NonFiniteError
from spectra.findings.traces import TRACE_PROBES, KnownPart, trace_from_part
from spectra.krylov.defaults import MAX_STEPS
from spectra.krylov.extremes import extremes_of_run
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.probes import draw_probe
from spectra.krylov.rayleigh_quotients import eigenpairs_of_products
from spectra.krylov.stopping.ends_of_run import met_with_evidence
from spectra.krylov.tolerance import Tolerance
from spectra.objective.parameter_slices import ParameterSlices
from spectra.operators.chunked import ChunkedOperator
from spectra.operators.interface import SymmetricOperator
from spectra.system.progress import Progress
from spectra.system.seeding import make_generator

# Ours: steps before convergence is asked about, so that a run has seen more than its outliers.
LEAST_STEPS = 20
# Ours: two vectors of which one is so much of the other are one.
_SAME = 0.5
# Ours: layers whose runs go in step, so that the primal work of a pass serves all of them.
_AT_ONCE = 4


@dataclass(frozen=True)
class LayerSpectrum:
    """What is known of the block of a layer: the parameters that one module holds itself.

    Eigenvalues are in loss / parameter².

    Attributes:
        name: of the module, such as ``layer3.0.conv1``; of the parameter where the network itself
            holds it.
        parameters: their names.
        size: entries of them all.
        lambda_min: smallest eigenvalue of the block, a Rayleigh quotient.
        lambda_max: largest.
        residual_min: ‖B y - λmin y‖, B the block.
        residual_max: ‖B y - λmax y‖.
        converged: both residuals are within the tolerance.
        trace: of the block.
        trace_error: standard error of that over the probes; 0 where it is exact.
    """

    name: str
    parameters: tuple[str, ...]
    size: int
    lambda_min: float
    lambda_max: float
    residual_min: float
    residual_max: float
    converged: bool
    trace: float
    trace_error: float

    def scaled(self, factor: float) -> LayerSpectrum:
        """Return that of factor · H; ``factor`` > 0."""
        names = ("lambda_min", "lambda_max", "residual_min", "residual_max", "trace", "trace_error")
        return replace(self, **{name: getattr(self, name) * factor for name in names})


def layers_of(slices: ParameterSlices) -> dict[str, tuple[str, ...]]:
    """Return the parameters of each layer by its name, in the order of the network.

    >>> layers_of(ParameterSlices(("conv.weight", "conv.bias", "scale"), (torch.Size([1]),) * 3))
    {'conv': ('conv.weight', 'conv.bias'), 'scale': ('scale',)}
    """
    found: dict[str, list[str]] = {}
    for name in slices.names:
        module = name.partition(".parametrizations.")[0] if "parametrizations" in name else ""
        found.setdefault(module or name.rpartition(".")[0] or name, []).append(name)
    return {layer: tuple(names) for layer, names in found.items()}


def layer_spectra(
    op: SymmetricOperator,
    *,
    tolerance: Tolerance | None = None,
    max_steps: int = MAX_STEPS,
    max_basis: int | None = None,
    num_probes: int = TRACE_PROBES,
    seed: int = 0,
    proof: bool = True,
    on_progress: Progress | None = None,
) -> tuple[LayerSpectrum, ...]:
    """Find λmin, λmax and trace of the diagonal block of every layer.

    Extremes are by Lanczos on the block. The trace is that within the Lanczos vectors, and
    Hutchinson's estimate of what is outside of them; exact where they fill the block.

    Cost: from 20 to ``max_steps`` products for each layer, as a product with a block costs one with
    the whole; ``num_probes`` more for its trace where that is estimated; and with ``proof`` two in
    float64. Four vectors share a pass, so that its primal work serves them all. Four vectors (P,)
    of float64 are held beside the bases.

    Args:
        op: a matrix of a network: a Hessian, the Gauss-Newton matrix.
        tolerance: residual at which an extreme counts as converged; None: the default one.
        max_steps: limit on the steps for each layer.
        max_basis: vectors (P,) whose memory the runs may hold, at least 6; None: one a step. Where
            layers are too large to go in step within it, they follow each other, by thick restarts.
        num_probes: of each trace, at least 2.
        seed: of probes and start vectors, with the operator's label.
        proof: take the extremes' values and residuals from float64 products.
        on_progress: called with (``layers``, layers done, layers).

    Returns:
        One for each layer, in the order of the network.

    Raises:
        InputError: the operator is of no network, or a number is out of range.
        NonFiniteError: a product held NaN or infinity.

    Source: Hutchinson 1990 and Meyer, Musco, Musco & Woodruff 2021, for the traces.

    Example:
        >>> import spectra
        >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
        >>> H = spectra.class_hessian(net, torch.randn(6, 3), [0, 1, 0, 1, 0, 1], 0)
        >>> [(layer.name, layer.size) for layer in spectra.layer_spectra(H)]
        [('0', 16), ('2', 10)]
    """
    slices = getattr(op, "parameter_slices", None)
    if slices is None:
        raise InputError(f"layers are those of a network, got {type(op).__name__}")
    if num_probes < 2 or max_steps < 1:
        raise InputError(
            f"num_probes must be at least 2 and max_steps at least 1, got {num_probes} and "
            f"{max_steps}"
        )
    tolerance = tolerance or Tolerance()
    blocks = [
        _Block(name, names, slices.positions_of(names).to(op.device))
        for name, names in layers_of(slices).items()
    ]
    exact = op.in_float64() if proof and isinstance(op, ChunkedOperator) else op
    found: list[LayerSpectrum] = []
    for at in range(0, len(blocks), _AT_ONCE):
        group = blocks[at : at + _AT_ONCE]
        if _fit(group, op.size, max_steps, max_basis):
            runs = _in_step(op, group, seed, tolerance, max_steps)
        else:
            assert max_basis is not None
            runs = (_alone(op, b, seed, tolerance, max_steps, max_basis) for b in group)
        for block, run in zip(group, runs, strict=True):
            trace = trace_from_part(
                run.part,
                functools.partial(block.products, op),
                num_probes=num_probes,
                generator=make_generator(seed, "layer trace", op.label, block.name),
                device=op.device,
            )
            found.append(_judged(block, run.vectors, exact, tolerance, trace))
        if on_progress:
            on_progress("layers", len(found), len(blocks))
    return tuple(found)


@dataclass(frozen=True)
class _Found:
    """What a run says of a block: the vectors of both ends, (2, size), and what it knows."""

    vectors: Tensor
    part: KnownPart


@dataclass(frozen=True)
class _Block:
    """A layer and where its entries lie in a vector of the whole."""

    name: str
    parameters: tuple[str, ...]
    positions: Tensor

    def run(self, op: SymmetricOperator, seed: int) -> Lanczos:
        """Return a run of no steps on the block."""
        size = len(self.positions)
        start = draw_probe(
            size, probe="normal", generator=make_generator(seed, "layer", op.label, self.name)
        )
        return Lanczos(op.restrict(self.parameters), start)

    def products(self, op: SymmetricOperator, rows: Tensor) -> Tensor:
        """Return the block of ``op`` times each row (K, size of the block), in float64."""
        whole = op.matmat(self.spread(rows.to(op.dtype), op.size))
        return whole[:, self.positions].double()

    def spread(self, vectors: Tensor, size: int) -> Tensor:
        """Return rows (K, size of the block) among zeros, (K, ``size``)."""
        whole = vectors.new_zeros((len(vectors), size))
        return whole.index_copy_(1, self.positions, vectors)


def _fit(group: Sequence[_Block], size: int, max_steps: int, max_basis: int | None) -> bool:
    """Say whether the vectors of all runs fit into ``max_basis`` of length ``size``."""
    if max_basis is None:
        return True
    entries = sum(len(b.positions) * (min(max_steps, len(b.positions)) + 1) for b in group)
    return entries <= max_basis * size


def _alone(
    op: SymmetricOperator,
    block: _Block,
    seed: int,
    tolerance: Tolerance,
    max_steps: int,
    max_basis: int,
) -> _Found:
    """Return what a run within ``max_basis`` vectors (P,) finds."""
    room = max_basis * op.size // len(block.positions)
    found = extremes_of_run(
        block.run(op, seed), tolerance=tolerance, max_steps=max_steps, max_basis=room
    )
    low, high = found.smallest, found.largest
    if abs(float(low.vector @ high.vector)) > _SAME:  # a block of one eigenvalue
        known, inside = low.vector[None], low.value
    else:
        known, inside = torch.stack([low.vector, high.vector]), low.value + high.value

    def outside(z: Tensor) -> Tensor:
        return z - (known @ z) @ known

    size = len(block.positions)
    part = KnownPart(size, inside, len(known) == size, outside)
    return _Found(torch.stack([low.vector, high.vector]), part)


def _in_step(
    op: SymmetricOperator,
    group: Sequence[_Block],
    seed: int,
    tolerance: Tolerance,
    max_steps: int,
) -> Iterator[_Found]:
    """Yield what a run on each block finds.

    All runs step until both ends have converged, the space has closed, or the limit.
    """
    runs = [block.run(op, seed) for block in group]
    going = list(zip(group, runs, strict=True))
    while going := [pair for pair in going if not _done(pair[1], tolerance, max_steps)]:
        rows = [block.spread(run.basis.last()[None].to(op.dtype), op.size) for block, run in going]
        products = op.matmat(torch.cat(rows))
        for (block, run), product in zip(going, products, strict=True):
            try:
                run.advance(product[block.positions])
            except NonFiniteError as error:
                raise NonFiniteError(f"layer {block.name}: {error}") from error
    for run in runs:
        coefficients = run.tridiagonal().ritz_coefficients()
        vectors = torch.stack(run.unit_ritz_vectors(coefficients[:, [0, -1]]))
        run.basis.truncate(len(run))  # the newest vector has not been multiplied
        size = run.op.size
        part = KnownPart(size, sum(run.alphas), len(run) == size, run.basis.orthogonalise)
        yield _Found(vectors, part)


def _done(run: Lanczos, tolerance: Tolerance, max_steps: int) -> bool:
    if not run.can_step or len(run) >= min(max_steps, run.op.size):
        return True
    if len(run) < LEAST_STEPS:
        return False
    return bool(met_with_evidence(run.tridiagonal(), run.op.size, tolerance).all())


def _judged(
    block: _Block,
    vectors: Tensor,
    exact: SymmetricOperator,
    tolerance: Tolerance,
    trace: tuple[float, float],
) -> LayerSpectrum:
    """Return both ends of a block by a product of ``exact`` with each of its vectors, (2, size)."""
    vectors = vectors.to(exact.dtype).double()
    low, high = eigenpairs_of_products(vectors, block.products(exact, vectors), tolerance)
    return LayerSpectrum(
        name=block.name,
        parameters=block.parameters,
        size=len(block.positions),
        lambda_min=low.value,
        lambda_max=high.value,
        residual_min=low.residual_norm,
        residual_max=high.residual_norm,
        converged=low.converged and high.converged,
        trace=trace[0],
        trace_error=trace[1],
    )
