"""Time and memory of an analysis: planned products, times what one takes on this machine."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.data_of import data_for
from checkpoints.analysis.named_classes import chosen_losses
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.choices import OBJECTIVE
from checkpoints.data import ImageData
from checkpoints.load import load_checkpoint
from checkpoints.training.threads import suitable_threads
from spectra.classes.each_loss import those_with_images
from spectra.classes.over_training import IMAGES_PER_CLASS
from spectra.engines.forecasts.needed import usual_peak
from spectra.engines.forecasts.planned_products import PlannedProducts, planned_products
from spectra.engines.memory import planned_memory
from spectra.engines.settings import SolverSettings
from spectra.operators.chunked import ChunkedOperator
from spectra.system.precision import float32_precision
from spectra.system.seeding import make_generator

# Ours: a product's time is a part for the network and a part for each image, told from these two;
# of large images fewer, so that one product takes about a second at most.
_FEW_IMAGES, _MANY_IMAGES, _LONGEST = 4, 128, 1.0
# Ours: of so many products the middle one counts: if others compute too, they will go on to.
_REPETITIONS = 5
# What of the planned products judges the ends in float64: two products, which count as four. They
# are made in small chunks and take several times as long as two in float32.
_EXACT, _COUNTED_AS = 2, 4
# Products without kept work cost nine forward passes in place of six.
_WITHOUT_KEPT = 9 / 6
# Ours: what a neighbour on the machine, caches and clocks do to a time, to either side.
_CLOCK = 1.5
# Ours: images of a class that are proposed where all take long; as a recorder's.
_SOME_IMAGES = IMAGES_PER_CLASS
# Ours: what an analysis has taken beside products on the bundled networks: building the operator of
# a loss, judging it, writing it. Seconds a loss.
_BESIDE = 0.2


@dataclass(frozen=True)
class Seconds:
    """A time that is not known exactly.

    Attributes:
        least: if nothing needs more than it has to and the machine is idle.
        usual: to be expected.
        most: if everything goes to its limit and others compute as well.
    """

    least: float
    usual: float
    most: float


@dataclass(frozen=True)
class LossForecast:
    """What one loss is going to take.

    Attributes:
        label: of the loss.
        images: that it is over, views of one counted each.
        products: image products planned, of all its images.
        seconds: that they take.
    """

    label: str
    images: int
    products: PlannedProducts
    seconds: Seconds


@dataclass(frozen=True)
class Faster:
    """A change to what is asked for that makes it faster.

    Attributes:
        option: of the command line.
        seconds: usual ones of all losses.
    """

    option: str
    seconds: float


@dataclass(frozen=True)
class AnalysisForecast:
    """What an analysis is going to take.

    Attributes:
        losses: one for each, in the order of the analysis.
        parameters: P, by which the Hessian is.
        device: where it computes.
        threads: that torch computes with.
        products: how products are made: ``tangent``, or ``double-backward``.
        slow_because: why not by the fast way; empty where they are.
        seconds_a_product: of one image, measured.
        building: seconds to build and check the first operator, measured.
        memory: bytes that the largest loss takes at its peak, libraries included: the most that is
            resident, as VmHWM of Linux counts it.
        memory_limit: bytes that may be taken.
        keeps_all: whether all work fits that can be kept between products, which makes them a
            third faster.
        faster: what would take less than half of the time.
        left_out: what was asked for and is not in the forecast.
    """

    losses: tuple[LossForecast, ...]
    parameters: int
    device: str
    threads: int
    products: str
    slow_because: str
    seconds_a_product: float
    building: float
    memory: int
    memory_limit: int
    keeps_all: bool
    faster: tuple[Faster, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def image_products(self) -> PlannedProducts:
        """Image products of all losses."""
        parts = [loss.products for loss in self.losses]
        return PlannedProducts(
            sum(p.least for p in parts), sum(p.usual for p in parts), sum(p.most for p in parts)
        )

    @property
    def seconds(self) -> Seconds:
        """Seconds of all losses, with the checks of the first one."""
        parts = [loss.seconds for loss in self.losses]
        return Seconds(
            self.building + sum(p.least for p in parts),
            self.building + sum(p.usual for p in parts),
            self.building + sum(p.most for p in parts),
        )


def forecast_analysis(
    checkpoint: Checkpoint | str,
    data: ImageData | str | None = None,
    request: AnalysisRequest | None = None,
) -> AnalysisForecast:
    """Say what :func:`checkpoints.analyze` would take for the same arguments, without doing it.

    A few products are made, of some images of the largest loss; their time is multiplied by the
    planned products and images. How many products are planned follows from the request; how many
    are needed to converge does not, so that there are three numbers of each.

    Cost: building and checking the Hessian of the largest loss, and a dozen products of 128 images.

    Args:
        checkpoint: weights, or where they lie.
        data: images, or their source; None: what the checkpoint says it was trained on.
        request: what to compute; None: the spectrum of every class.

    Raises:
        InputError: the request does not fit checkpoint, data or memory.

    Example:
        >>> from checkpoints import AnalysisRequest, forecast_analysis
        >>> found = forecast_analysis("bundled:digits/ce-drw", request=AnalysisRequest(classes="9"))
        >>> found.losses[0].images, found.products
        (6, 'tangent')
        >>> found.seconds.least < found.seconds.most, found.memory < found.memory_limit
        (True, True)
    """
    if isinstance(checkpoint, str):
        checkpoint = load_checkpoint(checkpoint)
    if not isinstance(data, ImageData):
        data, _ = data_for(checkpoint, data)
    request = request or AnalysisRequest()
    with suitable_threads(data):
        return _forecast(checkpoint, data, request)


def _forecast(
    checkpoint: Checkpoint, data: ImageData, request: AnalysisRequest
) -> AnalysisForecast:
    chosen = chosen_losses(request, checkpoint, data)
    if request.loss == OBJECTIVE:
        chosen = {OBJECTIVE: chosen["overall"]}
    counts = data.split(request.split).counts(data.num_classes)
    chosen = those_with_images(chosen, counts, split=request.split)
    losses = Losses.of(checkpoint, data, request)
    views = losses.protocol.views
    images = {label: views * len(losses.choose(c).index) for label, c in chosen.items()}
    largest = max(images, key=lambda label: images[label])
    begun = time.perf_counter()
    prepared = losses.prepare(largest, chosen[largest], check=True)
    building = time.perf_counter() - begun
    op: ChunkedOperator = prepared.op.gauss_newton() if prepared.gauss_newton else prepared.op
    plan = planned_memory(op, request.solver, limit=request.memory)
    needed = op.chunk_nbytes() * len(list(op.chunks()))
    fixed, an_image = _measured(op.with_memory_budget(plan.kept))
    exact = 0.0
    if request.solver.proof and op.dtype != torch.float64:
        few = min(_FEW_IMAGES, op.num_images)
        exact = _usual_product(op.in_float64(), few) / few
    kept = min(1.0, plan.kept / needed) if needed else 1.0
    slower = kept + (1 - kept) * _WITHOUT_KEPT

    def of_loss(label: str, n: int, solver: SolverSettings) -> LossForecast:
        planned = planned_products(
            solver,
            size=op.size,
            images=n,
            independent=prepared.independent,
            hessian=not prepared.gauss_newton,
            fresh=prepared.draw is not None,
        )
        product = fixed + an_image * n * (slower if n == images[largest] else 1.0)
        beside = _BESIDE + max(0.0, _EXACT * n * exact - _COUNTED_AS * product if exact else 0.0)
        seconds = Seconds(
            planned.least * product / _CLOCK,
            planned.usual * product + beside,
            (planned.most * product + beside) * _CLOCK,
        )
        return LossForecast(label, n, planned.of_images(n), seconds)

    def usual(counts: Mapping[str, int], solver: SolverSettings) -> float:
        return building + sum(of_loss(x, n, solver).seconds.usual for x, n in counts.items())

    solver = request.solver
    forecasts = tuple(of_loss(label, n, solver) for label, n in images.items())
    fewer = {x: min(n, _SOME_IMAGES * views * len(chosen[x])) for x, n in images.items()}
    faster = [Faster(f"--images-per-class {_SOME_IMAGES}", usual(fewer, solver))]
    if solver.num_probes and solver.engine == "spectra":
        alone = replace(solver, num_probes=0)
        faster.insert(0, Faster("--num-probes 0", usual(images, alone)))
    left_out = {
        "--top": solver.top > 0,
        "--per-layer": solver.per_layer,
        f"--engine {solver.engine}": solver.engine != "spectra",
    }
    return AnalysisForecast(
        losses=forecasts,
        parameters=op.size,
        device=str(op.device),
        threads=torch.get_num_threads(),
        products=op.choice.name,
        slow_because=op.choice.reason,
        seconds_a_product=an_image + fixed / images[largest],
        building=building,
        memory=usual_peak(op, request.solver, plan) + min(plan.kept, needed),
        memory_limit=plan.limit,
        keeps_all=kept == 1.0,
        faster=tuple(f for f in faster if f.seconds < usual(images, solver) / 2),
        left_out=tuple(name for name, asked in left_out.items() if asked),
    )


def _measured(op: ChunkedOperator) -> tuple[float, float]:
    """Return the seconds of a product that every product takes, and those of each image."""
    few = min(_FEW_IMAGES, op.num_images)
    first = _usual_product(op, few)
    affordable = int(few * _LONGEST / max(first, 1e-9))
    many = min(_MANY_IMAGES, op.num_images, max(2 * few, affordable))
    if many < 2 * few:
        return 0.0, first / few
    an_image = max(0.0, (_usual_product(op, many) - first) / (many - few))
    return max(0.0, first - few * an_image), an_image


def _usual_product(op: ChunkedOperator, images: int) -> float:
    """Return the seconds of a product over so many of the images, its kept work made before."""
    part = op.over_images(torch.arange(images))
    vector = torch.randn(op.size, generator=make_generator(0, "forecast"))
    vector = vector.to(op.device, op.dtype)
    times = []
    with float32_precision(op.device, tf32=False):
        part.matvec(vector)
        for _ in range(_REPETITIONS):
            begun = time.perf_counter()
            float(part.matvec(vector)[0])  # which waits for a card
            times.append(time.perf_counter() - begun)
            if sum(times) > _LONGEST:
                break
    part.forget()
    return statistics.median(times)
