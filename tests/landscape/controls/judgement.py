"""Runs the search on a control and judges what it says, by a search of its own from there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from control import SEARCH_RADIUS, Control
from known_functions import KnownFunction, NetLoss
from root_search import root_near
from torch import Tensor, nn

from spectra import DenseOperator, HessianOperator, LambdaOperator
from spectra.landscape.network_landscape import NetworkLandscape
from spectra.landscape.search import find_stationary_point
from spectra.landscape.stationary_point import MINIMUM, SADDLE, UNDECIDED, StationaryPoint
from spectra.landscape.walk.balance import Balance, balance_filters
from spectra.objective.parameter_slices import ParameterSlices
from spectra.operators.interface import SymmetricOperator

RIGHT, WRONG = "right", "wrong"
# A distance is wrong where the stationary point is farther than this many times as far.
TOO_FAR = 1.5
# What is known to be a saddle bends down by more than rounding, relative to the largest curvature.
BENDS = 1e-7
DENSE_UP_TO = 300
# A point found is the one that is known where it is this near, relative to the way to it.
BESIDE = 0.02


class KnownLandscape:
    """A known function around w, for the search; it remembers where the index was asked for."""

    image_products = None
    dtype = torch.float64

    def __init__(self, function: KnownFunction, w: Tensor) -> None:
        self.function, self.w = function, w
        self.judged_at: Tensor | None = None

    @property
    def size(self) -> int:
        return self.function.size

    @property
    def device(self) -> torch.device:
        return self.w.device

    @property
    def balance(self) -> Balance | None:
        if not isinstance(self.function, NetLoss):
            return None
        shapes = tuple(torch.Size(shape) for shape in self.function.shapes)
        names = tuple(f"piece {k}" for k in range(len(shapes)))
        return balance_filters(ParameterSlices(names, shapes), self.w)

    def loss(self, step: Tensor) -> float:
        return float(self.function.value(self.w + step))

    def gradient(self, step: Tensor) -> Tensor:
        return self.function.gradient(self.w + step)

    def hessian(self, step: Tensor) -> SymmetricOperator:
        point = self.w + step
        if self.size <= DENSE_UP_TO:
            return DenseOperator(self.function.dense(point))
        return LambdaOperator(lambda v: self.function.product(point, v), self.size)

    def exact_hessian(self, step: Tensor) -> SymmetricOperator:
        self.judged_at = step.clone()
        return self.hessian(step)


class RememberingLandscape(NetworkLandscape):
    """A network's own landscape that remembers where the index was asked for."""

    judged_at: Tensor | None = None

    def exact_hessian(self, step: Tensor) -> HessianOperator:
        self.judged_at = step.clone()
        return super().exact_hessian(step)


def network_landscape(loss: NetLoss, w: Tensor) -> RememberingLandscape:
    """Return the same loss by the package's own operator, float64, weight decay its own."""
    assert loss.tilt is None
    assert loss.factors is None
    layer = {"tanh": nn.Tanh, "softplus": nn.Softplus, "gelu": nn.GELU, "relu": nn.ReLU}
    parts: list[nn.Module] = []
    for fan_in, fan_out in zip(loss.widths, loss.widths[1:], strict=False):
        parts += [nn.utils.skip_init(nn.Linear, fan_in, fan_out), layer[loss.activation]()]
    model = nn.Sequential(*parts[:-1]).double()
    with torch.no_grad():
        for parameter, piece in zip(model.parameters(), loss.pieces(w), strict=True):
            parameter.copy_(piece)
    op = HessianOperator(
        model,
        loss.inputs,
        loss.labels,
        dtype=torch.float64,
        weight_decay=loss.decay,
        check=False,
    )
    return RememberingLandscape(op)


@dataclass(frozen=True)
class Judgement:
    """What the search has said of a control, and whether it is so.

    Attributes:
        verdict: right, undecided or wrong.
        why: what shows that it is wrong.
    """

    control: Control
    found: StationaryPoint
    verdict: str
    why: str = ""

    @property
    def false_point(self) -> bool:
        """Whether a saddle or a minimum was named that is none."""
        return self.verdict == WRONG and self.found.name in (SADDLE, MINIMUM)


def judged(control: Control) -> Judgement:
    """Search from the control's point as it stands, and judge the answer."""
    large = isinstance(control.function, NetLoss) and control.function.size > DENSE_UP_TO
    landscape = (
        network_landscape(control.function, control.start)
        if large and isinstance(control.function, NetLoss)
        else KnownLandscape(control.function, control.start)
    )
    found = find_stationary_point(landscape, search_radius=SEARCH_RADIUS)
    return judge(control, found, landscape.judged_at)


def judge(control: Control, found: StationaryPoint, step: Tensor | None) -> Judgement:
    """Judge an answer.

    * saddle, minimum: right where Newton's steps from the point found end, in float64, at one that
      the exact Hessian calls so, within 1.5 of the distance that was said;
    * slopes: right where nothing is known to be near.

    Args:
        found: the answer.
        step: from w to the point that it is about, parameter units; None where there is none.
    """
    if found.name == UNDECIDED:
        return Judgement(control, found, UNDECIDED)
    if found.name not in (SADDLE, MINIMUM):
        if control.truth == "none":
            return Judgement(control, found, RIGHT)
        return Judgement(control, found, WRONG, f"a {control.truth} is {control.distance:.3g} away")
    assert step is not None
    assert found.distance is not None
    lowest, point = _known_near(control, control.start + step)
    if point is None or lowest is None:
        return Judgement(control, found, WRONG, "no stationary point there")
    gone = float((point - control.start).norm())
    if gone > TOO_FAR * found.distance + 1e-9:
        return Judgement(control, found, WRONG, f"it is {gone:.3g} away, not {found.distance:.3g}")
    # Named a saddle: it bends down. Named a minimum: it does not.
    if (lowest < -BENDS) != (found.name == SADDLE):
        return Judgement(control, found, WRONG, f"λmin / max|λ| is {lowest:.2g} there")
    return Judgement(control, found, RIGHT)


def _known_near(control: Control, place: Tensor) -> tuple[float | None, Tensor | None]:
    """Return λmin / max|λ| and place of the stationary point that ``place`` is next to."""
    if control.point is not None and control.distance is not None:
        beside = float((place - control.point).norm())
        if beside <= BESIDE * control.distance:
            return control.lowest_share, control.point
    base = root_near(control.function, place)
    return (None, None) if base is None else (base.lowest_share, base.point)


def table(halves: Mapping[str, Iterable[Judgement]]) -> str:
    """Return a Markdown table, a row for each family: rightly / undecided / wrongly named."""
    rows: dict[str, dict[str, list[Judgement]]] = {}
    for half, judgements in halves.items():
        for one in judgements:
            row = rows.setdefault(one.control.family, {name: [] for name in halves})
            row[half].append(one)
    lines = [
        f"| family | truth | {' | '.join(halves)} | mean products |",
        "|---|---|" + "---|" * (len(halves) + 1),
    ]
    for family, cells in rows.items():
        members = [one for half in cells.values() for one in half]
        truths = ", ".join(dict.fromkeys(one.control.truth for one in members))
        products = sum(one.found.products for one in members) / len(members)
        counts = " | ".join(_counts(half) for half in cells.values())
        lines.append(
            f"| {family.replace('|', chr(92) + '|')} | {truths} | {counts} | {products:.0f} |"
        )
    everything = " | ".join(_counts([x for row in rows.values() for x in row[h]]) for h in halves)
    return "\n".join([*lines, f"| all | | {everything} | |"])


def _counts(judgements: list[Judgement]) -> str:
    verdicts = [one.verdict for one in judgements]
    return " / ".join(str(verdicts.count(verdict)) for verdict in (RIGHT, UNDECIDED, WRONG))
