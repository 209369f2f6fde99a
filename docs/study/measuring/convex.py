"""The control of the study that needs no network: a convex loss under fresh draws.

``python docs/study/measuring/convex.py`` fits a softmax regression to the digits and runs the
published recurrence over the losses of classes 0 and 8, whose Hessians have no negative eigenvalue.
It writes ``recurrences/convex-0.json`` and ``convex-8.json``; seconds on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from checkpoints import load_data
from checkpoints.data import ImageProtocol
from spectra import FreshOperator, HessianOperator
from spectra.engines.published_recurrence import ARITHMETICS, published_recurrence
from spectra.results.directions.theorem_result import MeasuredAt
from spectra.results.protocols.recurrences_result import (
    ExactEnds,
    RecurrenceRun,
    RecurrencesProtocol,
    RecurrencesResult,
    save_recurrences,
)

STORED = Path(__file__).parents[1] / "recurrences"
STEPS, SEED, DOUBLE = 100, 0, torch.float64
PROTOCOL = RecurrencesProtocol("fresh", "train", "ce", None, "spectra", "float64", STEPS)


def fitted_regression() -> nn.Module:
    """Return a softmax regression after 300 steps of gradient descent on all digits."""
    train = load_data().train
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(train.images.float() / 16), train.labels).backward()
        optimizer.step()
    return model


def measured(model: nn.Module, label: int) -> RecurrencesResult:
    """Return the recurrence over one class's loss in each arithmetic, and its dense Hessian."""
    train = load_data().train
    keep = torch.nonzero(train.labels == label)[:, 0]
    images, labels = train.images[keep], train.labels[keep]
    op = HessianOperator(model, images.double() / 16, labels, dtype=DOUBLE)
    values = torch.linalg.eigvalsh(op.dense())
    low, high = float(values[0]), float(values[-1])
    with torch.no_grad():
        loss = float(nn.functional.cross_entropy(model(images.float() / 16), labels))
    start = torch.randn(op.size, dtype=DOUBLE, generator=_generator()).sign()
    runs = []
    for name in ("published", "float64"):
        draw = ImageProtocol.parse("fresh", crop=1, flip=False).fresh(
            images, lambda x: x.double() / 16, _generator()
        )
        run = published_recurrence(
            FreshOperator(op, draw), start, num_steps=STEPS, arithmetic=ARITHMETICS[name]
        )
        raw = (run.alphas, run.betas_before, run.betas_after, run.returned)
        lists = [tuple(x.tolist()) for x in raw]
        runs.append(RecurrenceRun(str(label), SEED, name, len(labels), op.size, loss, *lists))
    exact = ExactEnds(str(label), SEED, low, high, abs(low / high))
    return RecurrencesResult(
        MeasuredAt("softmax regression on digits", None), PROTOCOL, tuple(runs), (exact,)
    )


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


if __name__ == "__main__":
    regression = fitted_regression()
    for of in (0, 8):
        path = STORED / f"convex-{of}.json"
        save_recurrences(path, measured(regression, of))
        sys.stdout.write(f"{path}\n")
