"""Step 3: each way of making products: as right as the eager one, and how fast?"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from cli.bench.gpu_ledger.results import Item
from cli.bench.gpu_ledger.step import Step
from cli.bench.gpu_ledger.suite import Suite
from cli.bench.gpu_references.subjects import Subject
from cli.bench.gpu_steps.correctness import ALLOWED
from cli.bench.gpu_steps.ways import EAGER, STACKED, Way, ways
from spectra import HessianOperator, make_generator
from spectra.system.timing import seconds_of

REPEATS = 7
# A graph is recorded at the second product of a shape, and replayed from then on.
WARM_UP = 2


def run(suite: Suite, step: Step) -> None:
    """Compare every way with eager float32 and with float64, on few images and on many."""
    for subject in _subjects(suite):
        todo = [
            way
            for way in ways(on_gpu=suite.on_gpu)
            if step.done(f"{way.name}: {subject.name}") is None
        ]
        if not todo:
            continue
        op = _operator(suite, subject, EAGER)
        vectors = _vectors(op)
        exact = op.in_float64().matmat(vectors.double())
        eager = op.matmat(vectors)
        op.forget()
        for way in todo:
            work = partial(_way, suite, subject, way, vectors=vectors, exact=exact, eager=eager)
            step.item(f"{way.name}: {subject.name}", work)


def right_ways(suite: Suite) -> list[Way]:
    """Return the ways that were as right as is allowed on both subjects, the default one first."""
    step = suite.ledger.find("tunings")
    names = [subject.name for subject in _subjects(suite)]
    found = [EAGER]
    for way in ways(on_gpu=suite.on_gpu):
        items = [step.done(f"{way.name}: {name}") if step else None for name in names]
        if way is not EAGER and all(item is not None and served(item) for item in items):
            found.append(way)
    return found


def _subjects(suite: Suite) -> list[Subject]:
    """Return the first and the last reference subject."""
    return list(dict.fromkeys(suite.prepared.subjects[k] for k in (0, -1)))


def served(item: Item) -> bool:
    """Say whether what was asked for was done, without a word of falling back, and was right."""
    return bool(item.found["right"]) and not item.said


def _operator(suite: Suite, subject: Subject, way: Way) -> HessianOperator:
    return suite.workload(subject.label, subject.n).operator(check=False, **way.options)


def _vectors(op: HessianOperator) -> Tensor:
    drawn = torch.randn(STACKED, op.size, generator=make_generator(0, "gpu suite tunings"))
    return drawn.to(op.device, op.dtype)


def _way(
    suite: Suite, subject: Subject, way: Way, *, vectors: Tensor, exact: Tensor, eager: Tensor
) -> dict[str, Any]:
    op, device = _operator(suite, subject, way), suite.device
    for _ in range(WARM_UP):
        op.matmat(vectors)
    found = op.matmat(vectors)
    again = op.matmat(vectors)
    error = _error(found, exact)
    for _ in range(WARM_UP):
        op.matvec(vectors[0])
    one = _seconds(lambda: op.matvec(vectors[0]), device)
    several = _seconds(lambda: op.matmat(vectors), device)
    return {
        "tuning": op.choice.tuning,
        "error": error,
        "eager_error": _error(eager, exact),
        "from_eager": _error(found, eager),
        "same_bytes_again": bool(torch.equal(found, again)),
        "right": error <= ALLOWED,
        "one_ms": 1e3 * one,
        "several_ms": 1e3 * several,
        "columns": len(vectors),
    }


def _error(found: Tensor, wanted: Tensor) -> float:
    """Return the largest relative error of the rows."""
    difference = (found.double() - wanted.double()).norm(dim=1)
    return float((difference / wanted.double().norm(dim=1)).max())


def _seconds(work: Any, device: str) -> float:
    """Return the shortest time of a few calls."""
    return min(seconds_of(work, device) for _ in range(REPEATS))
