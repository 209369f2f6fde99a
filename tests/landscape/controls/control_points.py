"""Controls near saddles and minima of small nets."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from control import FAR, Control, clearly, displaced, drawn
from known_functions import SMOOTH, NetLoss, noisy_data
from stationary_bases import Base, base_at, descend, doubled_units, minimum

# Widths, weight decay, and which units are equal in a saddle, of the nets of about 90 parameters.
SHALLOW = (6, 8, 3)
DEEP = (5, 6, 6, 3)
PAIRS = {SHALLOW: [[0, 0, 1, 1, 2, 2, 3, 4]], DEEP: [[0, 0, 1, 2, 3, 4], [0, 0, 1, 1, 2, 3]]}
NETS = ((SHALLOW, 1e-2), (SHALLOW, 3e-3), (DEEP, 2e-2))
ATTEMPTS = 12


def decayed_net(name: str, widths: tuple[int, ...], activation: str, decay: float) -> NetLoss:
    inputs, labels = noisy_data(widths, 80, name)
    return NetLoss(widths, activation, inputs, labels, decay)


def first(build: Callable[[str], Base | None], name: str, truth: str) -> Base:
    """Return the first base of ``build(name 0)``, ``build(name 1)``, ... that is clearly so."""
    for attempt in range(ATTEMPTS):
        base = build(f"{name} {attempt}")
        if base is not None and (base.truth == truth == "flat" or clearly(base, truth)):
            return base
    raise LookupError(f"none of {ATTEMPTS} nets {name} has a {truth}")


def saddle_of(
    widths: tuple[int, ...], activation: str, decay: float
) -> Callable[[str], Base | None]:
    def build(name: str) -> Base | None:
        loss = decayed_net(name, widths, activation, decay)
        return doubled_units(loss, PAIRS[widths], loss.start(drawn(name)))

    return build


def minimum_of(
    widths: tuple[int, ...], activation: str, decay: float
) -> Callable[[str], Base | None]:
    def build(name: str) -> Base | None:
        loss = decayed_net(name, widths, activation, decay)
        return minimum(loss, loss.start(drawn(name)))

    return build


def near_saddles(half: str) -> Iterator[Control]:
    """Yield controls near saddles of units that are doubled, weight decay included."""
    for activation in SMOOTH:
        for widths, decay in NETS:
            name = f"{half}, doubled units, {activation}, {widths}, {decay:g}"
            base = first(saddle_of(widths, activation, decay), name, "saddle")
            kinds = ("random", "stiff", "wall", "valley", "behind")
            yield from displaced(base, name, "saddle", kinds, own_rows=True)
            yield from displaced(base, name, "saddle, .5 to 2 r", ("random", "wall"), between=FAR)


def ends_of_valleys(half: str) -> Iterator[Control]:
    """Yield points of trainings that come down a valley and slow down at its end, a saddle."""
    for activation in SMOOTH:
        name = f"{half}, end of a valley, {activation}"
        base = first(saddle_of(SHALLOW, activation, 1e-2), name, "saddle")
        (far,) = displaced(base, name, "saddle", ("valley",), between=(3.0, 3.1))
        w, rate = far.start, 0.5 / float(base.eigenvalues[-1])
        for steps in (10, 40):
            for _ in range(steps):
                w = w - rate * base.function.gradient(w)
            gone = float((w - base.point).norm())
            family = "saddle, end of a valley"
            yield replace(far, name=f"{name}, {steps}", family=family, start=w, distance=gone)


def near_minima(half: str) -> Iterator[Control]:
    """Yield controls near strict minima with weight decay."""
    for activation in SMOOTH:
        for widths, decay in NETS:
            name = f"{half}, minimum, {activation}, {widths}, {decay:g}"
            base = first(minimum_of(widths, activation, decay), name, "minimum")
            kinds = ("random", "stiff", "wall", "valley")
            yield from displaced(base, name, "minimum", kinds, own_rows=True)
            yield from displaced(base, name, "minimum, .5 to 2 r", ("random", "wall"), between=FAR)


def near_hairs(half: str) -> Iterator[Control]:
    """Yield controls near points whose lowest eigenvalue is under 1e-4 of the largest."""
    for activation, share in (("softplus", 5e-5), ("tanh", 1e-5), ("gelu", -2e-5)):
        name = f"{half}, hair, {activation}"
        base = first(cancelled_net(SHALLOW, activation, share), name, "flat")
        yield from displaced(base, name, "λmin of ±1e-5 max|λ|", ("random", "stiff"))


def near_lines(half: str) -> Iterator[Control]:
    """Yield controls near lines of stationary points: one unit made two, without weight decay.

    (w, v) becomes (w, t v) and (w, (1 - t) v): Fukumizu & Amari 2000. Softmax adds flat directions
    of its own.
    """
    widths = (4, 1, 3)
    for activation in ("tanh", "gelu"):
        name = f"{half}, line, {activation}"

        def build(name: str, activation: str = activation) -> Base | None:
            inputs, labels = noisy_data(widths, 200, name, flipped=0.5)
            small = NetLoss(widths, activation, inputs, labels)
            start = small.start(drawn(name))
            return base_at(small, descend(small.value, start, rounds=40, farthest=8.0))

        bases = (build(f"{name} {attempt}") for attempt in range(4 * ATTEMPTS))
        small = next(base for base in bases if base is not None)
        loss = small.function
        assert isinstance(loss, NetLoss)
        row, bias, out, last = loss.pieces(small.point)
        for share in (0.5, 0.25, 1.5):
            columns = torch.cat([share * out, (1 - share) * out], dim=1)
            pieces = (row, row, bias, bias, columns, last)
            point = torch.cat([x.reshape(-1) for x in pieces])
            base = base_at(replace(loss, widths=(4, 2, 3)), point)
            assert base is not None
            one = f"{name}, {share}"
            yield from displaced(base, one, "line of stationary points", ("random", "stiff"))


def cancelled(
    name: str, widths: tuple[int, ...], activation: str, lowest_share: float
) -> Base | None:
    """Return a net half-way through training, made stationary by a linear term.

    The weight decay is what makes λmin / λmax there ``lowest_share``; None where it would be
    negative. Of twenty nets it is the one farthest from its kinks.
    """
    inputs, labels = noisy_data(widths, 24, name)
    generator = drawn(name)
    loss = NetLoss(widths, activation, inputs, labels)
    points = []
    for _ in range(20):
        w = loss.start(generator)
        for _ in range(20):
            w = w - 0.2 * loss.gradient(w)
        points.append(w)
    point = max(points, key=loss.nearest_kink)
    eigenvalues = torch.linalg.eigvalsh(loss.dense(point))
    low, high = float(eigenvalues[0]), float(eigenvalues[-1])
    decay = (lowest_share * high - low) / (1 - lowest_share)
    if decay < 0:
        return None
    loss = replace(loss, decay=decay)
    return base_at(replace(loss, tilt=-loss.gradient(point)), point)


def cancelled_net(
    widths: tuple[int, ...], activation: str, lowest_share: float
) -> Callable[[str], Base | None]:
    return lambda name: cancelled(name, widths, activation, lowest_share)


def near_kinks(half: str) -> Iterator[Control]:
    """Yield controls near stationary points of ReLU nets, kinks closer than some of them.

    The smooth piece that such a point lies in has the Hessian that a linear term leaves as it was.
    """
    for truth, share in (("saddle", -0.01), ("minimum", 0.002)):
        for index in range(3):
            name = f"{half}, relu {truth} {index}"
            base = first(cancelled_net(SHALLOW, "relu", share), name, truth)
            kinds = ("random", "stiff", "wall", "valley")
            yield from displaced(base, name, f"{truth}, ReLU", kinds, kinked=True)


def dead_units(half: str) -> Iterator[Control]:
    """Yield controls near nets with a unit whose weights are all zero: stationary by symmetry."""
    for activation in ("tanh", "gelu"):
        name = f"{half}, dead unit, {activation}"
        for attempt in range(ATTEMPTS):
            one = f"{name} {attempt}"
            loss = decayed_net(one, (6, 7, 3), activation, 1e-2)
            base = minimum(loss, loss.start(drawn(one)))
            if base is None:
                continue
            pieces = loss.pieces(base.point)
            shapes = replace(loss, widths=SHALLOW).shapes
            wider = [torch.zeros(s, dtype=torch.float64) for s in shapes]
            for new, old in zip(wider, pieces, strict=True):
                new[tuple(slice(n) for n in old.shape)] = old
            point = torch.cat([x.reshape(-1) for x in wider])
            found = base_at(replace(loss, widths=SHALLOW), point)
            if found is not None and abs(found.lowest_share) > 2e-4:
                yield from displaced(found, name, f"{found.truth}, dead unit", ("random", "stiff"))
                break


def rescaled_layers(half: str) -> Iterator[Control]:
    """Yield controls in other coordinates: first layer's weights times 4 or ¼, the last's by it."""
    nets: tuple[tuple[str, str, Callable[[str], Base | None]], ...] = (
        ("tanh", "saddle", saddle_of(SHALLOW, "tanh", 1e-2)),
        ("relu", "saddle", cancelled_net(SHALLOW, "relu", -0.01)),
        ("gelu", "minimum", minimum_of(SHALLOW, "gelu", 1e-2)),
        ("relu", "minimum", cancelled_net(SHALLOW, "relu", 0.002)),
    )
    for activation, truth, build in nets:
        name = f"{half}, rescaled, {activation} {truth}"
        base = first(build, name, truth)
        loss = base.function
        assert isinstance(loss, NetLoss)
        plain = displaced(base, name, truth, ("random", "wall"), kinked=activation == "relu")
        for factor in (0.25, 1.0, 4.0):
            other = loss.rescaled(factor)
            scale = other.factors
            assert scale is not None
            if loss.tilt is not None:
                other = replace(other, tilt=loss.tilt * scale)
            for control in plain:
                gone = float(((control.start - base.point) / scale).norm())
                yield replace(
                    control,
                    name=f"{control.name}, layers × {factor:g}",
                    family=f"{truth}, layers × ¼, 1, 4" + ", ReLU" * control.kinked,
                    function=other,
                    start=control.start / scale,
                    point=base.point / scale,
                    distance=gone,
                )


POINTS = (
    near_saddles,
    ends_of_valleys,
    near_minima,
    near_hairs,
    near_lines,
    near_kinks,
    dead_units,
    rescaled_layers,
)
