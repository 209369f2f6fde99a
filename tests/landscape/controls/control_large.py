"""Controls of about 3,000 parameters, which the search sees by products alone."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from control import Control, displaced, drawn
from control_quadratics import quadratics
from control_slopes import trained
from known_functions import NetLoss, noisy_data
from stationary_bases import STATIONARY, Base, base_at, doubled_units
from torch import Tensor

WIDE, DEEPER = (20, 120, 3), (20, 45, 40, 3)
# Units in groups of ten and five: the net that they tie has some two hundred parameters.
GROUPS = {
    WIDE: [[k // 10 for k in range(120)]],
    DEEPER: [[k // 9 for k in range(45)], [k // 8 for k in range(40)]],
}
DECAY = 1e-2


def large_net(name: str, widths: tuple[int, ...], activation: str, decay: float) -> NetLoss:
    inputs, labels = noisy_data(widths, 80, name)
    return NetLoss(widths, activation, inputs, labels, decay)


def large_minimum(loss: NetLoss, start: Tensor) -> Base | None:
    """Return the minimum near ``start``: by L-BFGS, then by Newton's steps with whole Hessians."""
    w = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [w], max_iter=1500, tolerance_grad=1e-8, tolerance_change=0.0, history_size=30,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss.value(w)
        value.backward()
        return value

    optimizer.step(closure)
    point = w.detach()
    for _ in range(5):
        gradient = loss.gradient(point)
        if float(gradient.norm()) < STATIONARY:
            break
        point = point - torch.linalg.solve(loss.dense(point), gradient)
    return base_at(loss, point)


def near_large_points(half: str) -> Iterator[Control]:
    """Yield controls near saddles of tied units and minima with weight decay."""
    kinds = ("random", "stiff", "wall")
    for activation, widths in (("tanh", WIDE), ("gelu", DEEPER)):
        name = f"{half}, large saddle, {activation}"
        loss = large_net(name, widths, activation, DECAY)
        base = doubled_units(loss, GROUPS[widths], loss.start(drawn(name)))
        if base is not None and base.truth == "saddle":
            yield from displaced(base, name, "saddle, P = 2,900", kinds)
    for activation, widths in (("softplus", WIDE), ("tanh", DEEPER)):
        name = f"{half}, large minimum, {activation}"
        loss = large_net(name, widths, activation, 3 * DECAY)
        base = large_minimum(loss, loss.start(drawn(name)))
        if base is not None:
            yield from displaced(base, name, "minimum, P = 2,900", kinds)


def large_slopes(half: str) -> Iterator[Control]:
    """Yield a class's own loss along a training, and the tail of a separable loss."""
    for activation in ("tanh", "relu"):
        name = f"{half}, large class, {activation}"
        loss = large_net(name, WIDE, activation, 0.0)
        w = trained(loss, loss.start(drawn(name)), 100)
        own = loss.labels == 0
        alone = replace(loss, inputs=loss.inputs[own], labels=loss.labels[own])
        kinked = activation == "relu"
        yield Control(name, "slope, P = 2,900", alone, w, "none", None, kinked)
        name = f"{half}, large tail, {activation}"
        inputs, labels = noisy_data(WIDE, 60, name, flipped=0.0)
        loss = NetLoss(WIDE, activation, inputs, labels)
        w = loss.start(drawn(name))
        while (value := float(loss.value(w))) > 1e-3:
            w = w - min(0.3 / value, 1e5) * 0.3 * loss.gradient(w)
        yield Control(name, "tail, P = 2,900", loss, w, "none", None, kinked)


def large_controls(half: str) -> Iterator[Control]:
    """Yield all of them."""
    yield from near_large_points(half)
    yield from large_slopes(half)
    for control in quadratics(half, 3000):
        yield replace(control, family=f"{control.family}, P = 3,000")
