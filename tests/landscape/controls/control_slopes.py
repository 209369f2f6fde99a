"""Controls without a stationary point: slopes, and the tails of cross-entropy."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from control import SEARCH_RADIUS, Control, drawn
from control_points import DEEP, SHALLOW, decayed_net
from known_functions import ACTIVATIONS, NetLoss, noisy_data
from root_search import roots_within
from stationary_bases import descend
from torch import Tensor

from spectra import make_generator

TAIL_LOSSES = (1e-1, 1e-2, 1e-4, 1e-6)


def trained(loss: NetLoss, w: Tensor, steps: int, rate: float = 0.3) -> Tensor:
    """Return where plain gradient descent is after ``steps``."""
    for _ in range(steps):
        w = w - rate * loss.gradient(w)
    return w


def pushed_biases(half: str) -> Iterator[Control]:
    """Yield slopes: a linear term on a class's bias that no probability can balance.

    There ∂L/∂b_k = mean p_k - share_k + decay · b_k + push > push - share_k - decay |b_k|, wherever
    the other parameters are: within R the slope stays above .02.
    """
    for activation in ACTIVATIONS:
        for widths, steps in ((SHALLOW, 0), (SHALLOW, 60), (DEEP, 60)):
            name = f"{half}, pushed, {activation}, {widths}, {steps}"
            loss = decayed_net(name, widths, activation, 3e-3)
            w = trained(loss, loss.start(drawn(name)), steps)
            rarest = int(torch.bincount(loss.labels, minlength=widths[-1]).argmin())
            entry = loss.size - widths[-1] + rarest
            share = float((loss.labels == rarest).double().mean())
            push = share + 0.02 + loss.decay * (abs(float(w[entry])) + 2 * SEARCH_RADIUS)
            tilt = torch.zeros(loss.size, dtype=torch.float64).index_fill(
                0, torch.tensor(entry), push
            )
            kinked = activation == "relu"
            # What training would lead to: the slope's valley, where all else is at rest.
            tilted = replace(loss, tilt=tilt)
            start = trained(tilted, w, steps)
            push_left = push - share - loss.decay * (abs(float(start[entry])) + SEARCH_RADIUS)
            if push_left > 0:
                yield Control(name, "slope, pushed bias", tilted, start, "none", None, kinked)


def faint_biases(half: str) -> Iterator[Control]:
    """Yield slopes on the floor of a valley: all is at rest but one bias, on which there is a push.

    The other parameters are minimised with the bias where it is, then moved: most of the gradient
    goes with a short step, and a push that no probability can balance is left.
    """
    for activation in ("tanh", "softplus", "gelu"):
        for margin in (1e-2, 1e-4):
            name = f"{half}, faint push, {activation}, {margin:g}"
            loss = decayed_net(name, SHALLOW, activation, 1e-2)
            entry = torch.tensor([loss.size - 1])
            share = float((loss.labels == loss.widths[-1] - 1).double().mean())
            # Weight decay pulls the bias by at most this much within R, where it is near 0.
            push = share + margin + loss.decay * 2 * SEARCH_RADIUS
            tilt = torch.zeros(loss.size, dtype=torch.float64).index_fill(0, entry, push)
            tilted = replace(loss, tilt=tilt)
            fixed = loss.start(drawn(name)).index_fill(0, entry, 0.0)

            def others(w: Tensor, tilted: NetLoss = tilted, entry: Tensor = entry) -> Tensor:
                return tilted.value(w.index_fill(0, entry, 0.0)) + 0.5 * (w[entry] ** 2).sum()

            rest = descend(others, fixed)
            stiff = torch.linalg.eigh(tilted.dense(rest)).eigenvectors[:, -3:]
            aside = stiff @ torch.randn(3, generator=drawn(name), dtype=torch.float64)
            start = rest + 0.02 * aside / aside.norm()
            yield Control(name, "slope, faint push", tilted, start, "none")


def classes_of_trainings(half: str) -> Iterator[Control]:
    """Yield a class's own cross-entropy along a training of all classes.

    ∂L_c/∂b_c = -mean(1 - p_c) < 0 at any weights: it has no stationary point.
    """
    for activation in ACTIVATIONS:
        for steps, of_class in ((0, 0), (60, 1), (400, 2), (400, 0)):
            name = f"{half}, class, {activation}, {steps}, {of_class}"
            inputs, labels = noisy_data(SHALLOW, 80, name)
            loss = NetLoss(SHALLOW, activation, inputs, labels)
            w = trained(loss, loss.start(drawn(name)), steps)
            own = labels == of_class
            alone = replace(loss, inputs=inputs[own], labels=labels[own])
            yield Control(name, "slope, one class", alone, w, "none", None, activation == "relu")


def whole_trainings(half: str) -> Iterator[Control]:
    """Yield fresh nets and nets in training, where many starts find no stationary point.

    Where they find some, all of one kind, that is the control's truth.
    """
    for activation in ("tanh", "softplus", "gelu"):
        for widths, steps in ((SHALLOW, 0), (DEEP, 0), (SHALLOW, 30), (SHALLOW, 100), (DEEP, 60)):
            name = f"{half}, training, {activation}, {widths}, {steps}"
            loss = decayed_net(name, widths, activation, 3e-3)
            w = trained(loss, loss.start(drawn(name)), steps)
            found = roots_within(loss, w, 1.5 * SEARCH_RADIUS, make_generator(0, "starts", name))
            kinds = {base.truth for base in found}
            if not kinds:
                yield Control(name, "slope, training", loss, w, "none")
            elif len(kinds) == 1:
                nearest = min(found, key=lambda base: float((base.point - w).norm()))
                gone = float((nearest.point - w).norm())
                family = f"training, {nearest.truth} near"
                yield Control(name, family, loss, w, nearest.truth, gone)


def separable(name: str, activation: str, widths: tuple[int, ...] = SHALLOW) -> NetLoss:
    """Return the loss of a net without weight decay on clusters without wrong labels."""
    inputs, labels = noisy_data(widths, 60, name, flipped=0.0)
    return NetLoss(widths, activation, inputs, labels)


def tails(half: str) -> Iterator[Control]:
    """Yield points of trainings on separable data, at losses of 1e-1 to 1e-6.

    Where every image is classified rightly, growing the last layer lowers every image's loss:
    there is no stationary point. A step of R can classify one wrongly, in the worst direction;
    that there is none either is the word of many starts
    (``test_no_start_beside_a_tail_leads_to_a_stationary_point``).
    """
    for activation in ACTIVATIONS:
        name = f"{half}, tail, {activation}"
        loss = separable(name, activation)
        w, kinked = loss.start(drawn(name)), activation == "relu"
        for target in TAIL_LOSSES:
            while (value := float(loss.value(w))) > target:
                # The step that keeps its length while loss and gradient shrink together.
                w = w - min(0.3 / value, 1e5) * 0.3 * loss.gradient(w)
            family = f"tail, loss {target:g}"
            yield Control(f"{name}, {target:g}", family, loss, w, "none", None, kinked)


SLOPES = (pushed_biases, faint_biases, classes_of_trainings, whole_trainings, tails)
