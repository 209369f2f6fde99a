"""Extremes, densities, certificates and protocols on the card, beside the same on the CPU."""

from __future__ import annotations

from dataclasses import replace

import torch

import spectra
from checkpoints.analysis.analyze import analyze
from checkpoints.analysis.directions.image_curvatures import measure_images
from checkpoints.analysis.directions.theorem import measure_theorem
from checkpoints.analysis.request import AnalysisRequest, TheoremRequest
from pretended_gpu.stage import (
    Facts,
    Stage,
    difference,
    digits,
    digits_operator,
    random_images,
    relative,
    resnet,
)
from spectra import Extremes, HessianOperator, SolverSettings
from spectra.engines.memory import available_bytes, forecast, resident_bytes
from spectra.results.directions.image_curvatures import ENDS, ImageCurvatures
from spectra.results.directions.theorem_result import DirectionReport

CARDS = (8, 24)
GIB = 2**30
IMAGES = 5000

# A tolerance that is not met: every run then makes as many steps on the card as on the CPU, which
# looks at the ends after each step, not after every fifth.
SHORT = SolverSettings(num_probes=1, num_steps=8, max_steps=14, tol=1e-9)
ACTIVE = SolverSettings(num_probes=0, max_steps=30)
REQUESTS = {
    "density": AnalysisRequest(solver=replace(SHORT, num_probes=2)),
    "density of active images": AnalysisRequest(
        solver=replace(ACTIVE, num_probes=1, num_steps=8, density_images="auto")
    ),
    "extremes alone": AnalysisRequest(solver=ACTIVE),
    "stationary point": AnalysisRequest(
        solver=replace(ACTIVE, stationary=True, search_products=60, bending=False)
    ),
    "bound from below": AnalysisRequest(solver=replace(SHORT, certify_below=True, max_steps=30)),
    "float64": AnalysisRequest(dtype="float64", solver=ACTIVE),
    "frozen views": AnalysisRequest(images="frozen:2", solver=SHORT),
    "every view": AnalysisRequest(images="frozen:all", images_per_class=3, solver=ACTIVE),
    "fresh draws": AnalysisRequest(images="fresh", solver=SHORT),
    "fresh draws, PyHessian": AnalysisRequest(
        images="fresh", solver=replace(SHORT, engine="pyhessian")
    ),
    "PyHessian": AnalysisRequest(solver=replace(SHORT, engine="pyhessian")),
    "basis on the host": AnalysisRequest(solver=replace(SHORT, basis="host")),
    "basis in half precision": AnalysisRequest(solver=replace(SHORT, basis="half")),
    "no basis": AnalysisRequest(solver=replace(SHORT, basis="none", max_steps=12)),
    "share of the whole": AnalysisRequest(reduction="global", loss="train", solver=SHORT),
}


def analysis(stage: Stage, name: str) -> Facts:
    """Analyze a class of digits on the second card and on the CPU."""
    checkpoint, data = digits()
    label = "7"
    request = replace(REQUESTS[name], classes=label)
    with stage.counted() as count:
        analyzed = analyze(checkpoint, data, replace(request, device=stage.second))
    found = analyzed.record(label)
    wanted = analyze(checkpoint, data, request).record(label)
    numbers = ("lambda_min", "lambda_max", "grad_norm", "loss")
    return {
        **count.facts(),
        "launches on the other card": count.cards[0] if stage.card else 0,
        "differs by": max(relative(getattr(found, n), getattr(wanted, n)) for n in numbers),
        "verdict": [found.verdict.name, wanted.verdict.name],
        "stationary": [one.stationary and one.stationary.name for one in (found, wanted)],
        "bootstrap": [found.bootstrap is not None, wanted.bootstrap is not None],
        "bounded below": [
            record.certificates is not None and record.certificates[0].beyond is not None
            for record in (found, wanted)
        ],
    }


def extremes(stage: Stage) -> Facts:
    """Solve for both ends, cold and from warm starts, and run the public functions."""
    host, op = digits_operator(2, "cpu"), digits_operator(2, stage.device)

    def solve(of: HessianOperator, warm: Extremes | None = None) -> Extremes:
        return spectra.extremes_by_active_images(
            of, generator=spectra.make_generator(0), warm=warm, max_steps=20, proof=False
        )

    wanted = solve(host)
    found: Facts = {}
    with stage.counted() as count:
        cold = solve(op)
    found["cold"] = {**count.facts(), **_compared(cold, wanted), "steps": cold.steps}
    again = solve(host, wanted)
    found["warm, vectors on the card"] = _compared(solve(op, cold), again)
    found["warm, vectors of the CPU"] = _compared(solve(op, wanted), again)
    ends, of_host = (
        spectra.extreme_eigenpairs(
            of, generator=spectra.make_generator(1), tol=1e-9, max_steps=12, proof=False
        )
        for of in (op, host)
    )
    found["extreme_eigenpairs"] = _compared(ends, of_host)
    steps = {"num_probes": 4, "num_steps": 10}
    of_host = spectra.slq(host, generator=spectra.make_generator(2), **steps)
    with stage.counted() as count:
        spectrum = spectra.slq(op, generator=spectra.make_generator(2), **steps)
    found["slq"] = {
        **count.facts(),
        **steps,
        "differs by": relative(spectrum.nodes[-1], of_host.nodes[-1]),
    }
    vector = torch.randn(op.size, generator=spectra.make_generator(3), dtype=torch.float64).numpy()
    products = [torch.from_numpy(of.to_scipy().matvec(vector)) for of in (op, host)]
    found["scipy"] = {"differs by": difference(*products)}
    return found


def _compared(found: Extremes, wanted: Extremes) -> Facts:
    return {
        "differs by": max(
            relative(found.smallest.value, wanted.smallest.value),
            relative(found.largest.value, wanted.largest.value),
        ),
        "vectors differ by": min(
            difference(sign * found.largest.vector, wanted.largest.vector) for sign in (1, -1)
        ),
    }


def theorem(stage: Stage) -> Facts:
    """Measure SAM along the eigenvectors of two classes."""
    checkpoint, data = digits()

    def measure(device: str) -> tuple[DirectionReport, ...]:
        request = AnalysisRequest(
            classes="0,8",
            device=device,
            images_per_class=12,
            solver=ACTIVE,
        )
        asked = TheoremRequest(request, num_batches=3, batch_size=16, rhos=(0.1,))
        return measure_theorem(checkpoint, data, asked).classes

    with stage.counted() as count:
        found = measure(stage.second)
    wanted = measure("cpu")
    return {
        **count.facts(),
        "launches on the other card": count.cards[0] if stage.card else 0,
        "differs by": max(
            relative(getattr(a, name), getattr(b, name))
            for a, b in zip(found, wanted, strict=True)
            for name in ("lambda_min", "lambda_max", "loss", "grad_norm")
        ),
    }


def images(stage: Stage) -> Facts:
    """Find what each image of a class adds to both ends of its spectrum."""
    checkpoint, data = digits()

    def measure(device: str) -> ImageCurvatures:
        request = AnalysisRequest(classes="8", device=device, solver=ACTIVE)
        return measure_images(checkpoint, data, request).losses[0]

    with stage.counted() as count:
        found = measure(stage.second)
    wanted = measure("cpu")
    return {
        **count.facts(),
        "launches on the other card": count.cards[0] if stage.card else 0,
        "differs by": max(
            abs(a - b)
            for end in ENDS
            for a, b in zip(_shares(found, end), _shares(wanted, end), strict=True)
        ),
    }


def _shares(found: ImageCurvatures, end: str) -> list[float]:
    return [found.share(image, end) for image in found.images]


def memory_plans(stage: Stage) -> Facts:
    """Plan a run of ResNet-32 over 5,000 images on cards of several sizes; nothing is run."""
    if stage.card is None:
        return {"plans": {}}
    images, labels = torch.zeros(IMAGES, 3, 32, 32), torch.arange(IMAGES) % 10

    def plan(size: int) -> Facts:
        op = HessianOperator(resnet(32), images, labels, device=stage.device, check=False)
        limit = resident_bytes(op.device) + available_bytes(op.device) // 2
        try:
            found = forecast(op, num_vectors=100, limit=limit)
        except spectra.InputError as error:
            return {"refused": str(error)}
        return {
            "refused": "",
            "plan": found.describe(),
            "fits": found.total <= size * GIB,
            "vectors": found.max_basis,
            "images a chunk": op.micro_chunk,
            "kept by default": op.memory_budget,
        }

    plans = {}
    for size in CARDS:
        with stage.card.memory(size * GIB):
            plans[size] = plan(size)
    return {"plans": plans}


def short_memory(stage: Stage) -> Facts:
    """Make a product on a card where the chunk chosen does not fit."""
    if stage.card is None:
        return {}
    images, labels = random_images(64)
    host = HessianOperator(resnet(8), images, labels, check=False)
    op = HessianOperator(
        resnet(8), images, labels, device=stage.device, check=False, memory_budget=0
    )
    vector = torch.randn(op.size, generator=spectra.make_generator(4))
    there = vector.to(stage.device)
    before = stage.card.live()
    stage.card.forget_peak()
    op.matvec(there)
    taken = stage.card.peak() - before
    plan = forecast(op, num_vectors=12, limit=GIB)
    with stage.card.memory(stage.card.live() + int(0.6 * taken)):
        product = op.matvec(there)
    return {
        "taken": taken,
        "planned": plan.working,
        "differs by": difference(product, host.matvec(vector)),
    }
