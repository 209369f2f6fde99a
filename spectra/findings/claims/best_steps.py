"""The best step along eigenvectors: where the true loss is lowest along a line, and how low."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from spectra.errors import InputError
from spectra.krylov.rayleigh_quotients import Eigenpair
from spectra.landscape.line import loss_line, rounding_of_loss
from spectra.operators.hessian import HessianOperator
from spectra.system.progress import Progress

# Ours: steps tried to the side to which the loss falls are the reach times these, three a decade:
# finer than the valleys that a loss of a network has along one direction; and the model's own step,
# with its neighbours, where it may be shorter than all of them. To the other side two a decade.
_DOWN = tuple(10 ** (-k / 3) for k in range(12, -1, -1))
_UP = tuple(10 ** (-k / 2) for k in range(6, -1, -1))
_OF_MODEL = (0.5, 1.0, 2.0)
# Ours: relative to the step: where the loss is flat, more digits are rounding.
_PRECISION = 1e-2


@dataclass(frozen=True)
class BestStep:
    """The lowest point of the loss along an eigenvector v, on either side of w.

    Attributes:
        value: λ, eigenvalue units.
        residual: ‖Hv - λv‖.
        slope: |⟨g, v⟩|, loss / parameter.
        step: t of the lowest point, parameter units: positive to the side to which the loss falls
            at w; 0 where no step lowers it.
        decrease: L(0) - L(t) >= 0, loss units.
        at_limit: whether that is the furthest step that was tried, so that the loss may go on
            falling.
        measurable: whether the decrease is more than rounding.
    """

    value: float
    residual: float
    slope: float
    step: float
    decrease: float
    at_limit: bool
    measurable: bool

    @property
    def model_step(self) -> float:
        """|⟨g, v⟩| / |λ|: the best step of a parabola that opens upwards, parameter units."""
        return self.slope / abs(self.value) if self.value else float("inf")

    @property
    def over_model(self) -> float | None:
        """The best step over the model's: 1 on a parabola that opens upwards; None: no slope.

        It is the best learning rate along v, ``step / slope``, times |λ|.
        """
        return self.step / self.model_step if self.slope and self.value else None

    @property
    def rate(self) -> float | None:
        """The best learning rate along v, parameter² / loss: the step over the slope."""
        return self.step / self.slope if self.slope else None


def parameter_length(op: HessianOperator) -> float:
    """Return ‖w‖ of the parameters that a Hessian is by."""
    return float(sum(p.detach().double().square().sum() for p in op.parameters) ** 0.5)


def best_steps(
    op: HessianOperator,
    pairs: Sequence[Eigenpair],
    *,
    reach: float | None = None,
    gradient: Tensor | None = None,
    on_progress: Progress | None = None,
) -> tuple[BestStep, ...]:
    """Find the lowest point of the true loss along each eigenvector, by a search along the line.

    Steps are tried, three a decade from ``reach`` / 10⁴ on to the side to which the loss falls, two
    a decade from ``reach`` / 10³ on to the other; the valley around the best of them is then
    searched by Brent's method. A lower valley between two of these steps is not seen.

    Cost: some 30 losses in float64 for each pair.

    Args:
        op: the Hessian of the loss.
        pairs: eigenpairs of it.
        reach: longest step, parameter units; None: the length of the parameters, ‖w‖.
        gradient: g, shape (P,), where it is known.
        on_progress: called after each pair with ("best step", pairs done, pairs).

    Raises:
        InputError: ``reach`` is not positive.

    Source: the question and the exact line search are those of Alain, Le Roux & Manzagol 2019; they
    compare the best learning rate along v with 1/λ.

    Example:
        >>> import spectra
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        >>> H = spectra.class_hessian(net, torch.randn(9, 4), [0, 1, 1] * 3, 1)
        >>> pairs = spectra.extreme_eigenpairs(H, 2).pairs
        >>> [step.decrease >= 0 for step in spectra.best_steps(H, pairs)]
        [True, True, True, True]
    """
    exact = op.in_float64()
    if reach is None:
        reach = parameter_length(op)
    if not reach > 0:
        raise InputError(f"reach must be positive, got {reach}")
    g = (exact.gradient() if gradient is None else gradient).to(op.device, torch.float64)
    loss = exact.loss()
    found = []
    for k, pair in enumerate(pairs):
        found.append(_best_step(exact, pair.to(op.device), g, loss, reach))
        if on_progress:
            on_progress("best step", k + 1, len(pairs))
    return tuple(found)


def _best_step(
    op: HessianOperator, pair: Eigenpair, g: Tensor, loss: float, reach: float
) -> BestStep:
    along = float(g @ pair.vector)
    slope, downhill = abs(along), pair.vector if along <= 0 else -pair.vector
    model = slope / abs(pair.value) if pair.value else 0.0
    down = {reach * part for part in _DOWN} | {model * k for k in _OF_MODEL if model * k < reach}
    steps = sorted({-reach * part for part in _UP} | down | {0.0})

    def at(t: float) -> float:
        value = float(loss_line([op], downhill, [t])[0, 0])
        return value if value == value else float("inf")

    losses = [loss if t == 0 else at(t) for t in steps]
    lowest = min(range(len(steps)), key=losses.__getitem__)
    step, value = steps[lowest], losses[lowest]
    at_limit = abs(step) == reach
    if step and not at_limit:
        below, above = steps[lowest - 1], steps[lowest + 1]
        searched = minimize_scalar(
            at, bounds=(below, above), method="bounded",
            options={"xatol": _PRECISION * abs(step)},
        )  # fmt: skip
        if searched.fun < value:
            step, value = float(searched.x), float(searched.fun)
    decrease = loss - value
    return BestStep(
        value=pair.value,
        residual=pair.residual_norm,
        slope=slope,
        step=step,
        decrease=decrease,
        at_limit=at_limit,
        measurable=decrease > rounding_of_loss(loss, op.dtype),
    )
