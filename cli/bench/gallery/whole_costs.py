"""What products with a network cost in all: building, checks, and thirty products, beside a peer.

The peer is PyHessian's way of one batch, written out: the gradient with its graph once, and a
``torch.autograd.grad`` of it for each product.
"""

import copy
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from checkpoints.training.threads import one_thread
from cli.bench.gallery.subjects import Subject, make_subject
from spectra import HessianOperator, make_generator
from spectra.system.progress import Progress

PRODUCTS = 30
REFUSED = "refused"
# Ours: single ReLU masks that flip between float32 and float64 make some 1e-4 of a product of a
# small network; a wrong product is off by order 1.
ALLOWED_ERROR = {torch.float32: 1e-3, torch.float64: 1e-9}


@contextmanager
def _without_mkldnn() -> Iterator[None]:
    # Not torch.backends.mkldnn.flags(), which also sets TF32, and warns of that.
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before)


AS_IT_IS = ""
# What makes torch's second derivatives exist where its own choice of kernels has none.
SETTINGS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    AS_IT_IS: nullcontext,
    "with plain attention": lambda: sdpa_kernel(SDPBackend.MATH),
    "with mkldnn off": _without_mkldnn,
}


@dataclass(frozen=True)
class WholeCost:
    """Processor seconds of one way, over the rounds.

    Attributes:
        build: until the first product may be asked for, shortest.
        shortest: of building and all products.
        median: likewise.
        error: ‖product - float64 double backward‖ / ‖float64 double backward‖.
    """

    build: float
    shortest: float
    median: float
    error: float


@dataclass(frozen=True)
class GalleryRow:
    """One network.

    Attributes:
        name: a key of :data:`cli.bench.gallery.subjects.NETWORKS`.
        parameters: how many.
        way: how our products are made; ``refused``: they are not.
        ours: None: refused.
        peer: PyHessian's way; None: it does not run.
        remark: what either needed, or why it did not run.
        agrees: whether the errors of both are allowed.
    """

    name: str
    parameters: int
    way: str
    ours: WholeCost | None
    peer: WholeCost | None
    remark: str
    agrees: bool

    @property
    def ratio(self) -> float | None:
        """Our shortest time over the peer's; below 1: we are faster. None: one did not run."""
        if self.ours is None or self.peer is None:
            return None
        return self.ours.shortest / self.peer.shortest

    @property
    def ratio_medians(self) -> float | None:
        """Our median over the peer's. None: one did not run."""
        if self.ours is None or self.peer is None:
            return None
        return self.ours.median / self.peer.median


def compare_gallery(
    names: Sequence[str],
    *,
    rounds: int = 5,
    num_products: int = PRODUCTS,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> list[GalleryRow]:
    """Time building an operator and its products, ours and the peer's in turn, on one thread.

    Args:
        names: keys of :data:`cli.bench.gallery.subjects.NETWORKS`.
        rounds: timed ones, after an untimed one.
        num_products: after each building.
        dtype: of the products.
        seed: of weights, samples and vectors.
        on_progress: called with (what is running, rounds done, rounds).

    Returns:
        The networks: those that we refuse first, then the worst ratio first.
    """
    rows = []
    with one_thread(True):
        for name in names:
            report = None if on_progress is None else _named(on_progress, name)
            subject = make_subject(name, seed=seed)
            rows.append(compare_subject(subject, rounds, num_products, dtype, report))
    return sorted(rows, key=_badness, reverse=True)


def compare_subject(
    subject: Subject,
    rounds: int,
    num_products: int = PRODUCTS,
    dtype: torch.dtype = torch.float32,
    report: Callable[[int, int], None] | None = None,
) -> GalleryRow:
    """Time one network; see :func:`compare_gallery`. ``report`` gets rounds done, and rounds."""
    generator = make_generator(0, "gallery vectors")
    vectors = torch.randn(num_products, subject.num_parameters, generator=generator).to(dtype)
    wanted = _float64_product(subject, vectors[0])
    setting, peer_error, remark = _peer_setting(subject, vectors[0], wanted)
    way, error = REFUSED, float("nan")
    try:
        op = _ours(subject, dtype)
        way, error = op.choice.name, _error(op, vectors[0], wanted)
    except Exception as problem:  # a raw one of torch's is a finding too
        remark = "; ".join(filter(None, [f"ours: {_one_line(problem)}", remark]))
    mine: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for done in range(rounds):
        if report is not None:
            report(done, rounds)
        if way != REFUSED:
            mine.append(_seconds(_ours, subject, vectors))
        if setting is not None:
            with SETTINGS[setting]():
                theirs.append(_seconds(RetainedGraph, subject, vectors))
    ours = _cost(mine, error) if mine else None
    peer = _cost(theirs, peer_error) if theirs else None
    allowed = ALLOWED_ERROR[dtype]
    agrees = all(cost.error <= allowed for cost in (ours, peer) if cost is not None)
    return GalleryRow(subject.name, subject.num_parameters, way, ours, peer, remark, agrees)


class RetainedGraph:
    """PyHessian's way of one batch: the graph of the gradient is kept."""

    def __init__(self, subject: Subject, dtype: torch.dtype) -> None:
        model = copy.deepcopy(subject.model).to(dtype).eval()
        inputs = subject.inputs
        inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        loss = F.cross_entropy(model(inputs), subject.labels)
        self.gradient = torch.autograd.grad(loss, self.parameters, create_graph=True)

    def matvec(self, v: Tensor) -> Tensor:
        """Return H v, shape (P,)."""
        pieces = v.split([p.numel() for p in self.parameters])
        found = torch.autograd.grad(
            self.gradient,
            self.parameters,
            grad_outputs=[
                piece.view_as(p) for piece, p in zip(pieces, self.parameters, strict=True)
            ],
            only_inputs=True,
            retain_graph=True,
        )
        return torch.cat([piece.reshape(-1) for piece in found])


Builder = Callable[[Subject, torch.dtype], "HessianOperator | RetainedGraph"]


def _ours(subject: Subject, dtype: torch.dtype) -> HessianOperator:
    return HessianOperator(subject.model, subject.inputs, subject.labels, dtype=dtype)


def _float64_product(subject: Subject, v: Tensor) -> Tensor:
    with sdpa_kernel(SDPBackend.MATH):
        return RetainedGraph(subject, torch.float64).matvec(v.double())


def _peer_setting(subject: Subject, v: Tensor, wanted: Tensor) -> tuple[str | None, float, str]:
    """Return the first of :data:`SETTINGS` that the peer runs under, its error, and a remark."""
    refusals = []
    for setting, context in SETTINGS.items():
        try:
            with context():
                error = _error(RetainedGraph(subject, v.dtype), v, wanted)
        except RuntimeError as problem:  # NotImplementedError is one
            refusals.append(f"PyHessian {setting or 'as it is'}: {_one_line(problem)}")
        else:
            return setting, error, f"PyHessian {setting}" if setting else ""
    return None, float("nan"), "; ".join(refusals)


def _error(op: HessianOperator | RetainedGraph, v: Tensor, wanted: Tensor) -> float:
    # Twice: a second product must not depend on what the first one left behind.
    found = max(float((op.matvec(v).double() - wanted).norm()) for _ in range(2))
    return found / float(wanted.norm())


def _seconds(build: Builder, subject: Subject, vectors: Tensor) -> tuple[float, float]:
    """Return the seconds of building, and of building and a product with each vector.

    The processor's, for this process: on one thread what a clock shows on an idle machine.
    """
    gc.collect()
    start = time.process_time()
    op = build(subject, vectors.dtype)
    built = time.process_time()
    for v in vectors:
        op.matvec(v)
    return built - start, time.process_time() - start


def _cost(times: Sequence[tuple[float, float]], error: float) -> WholeCost:
    whole = [seconds for _, seconds in times]
    return WholeCost(min(b for b, _ in times), min(whole), statistics.median(whole), error)


def _badness(row: GalleryRow) -> tuple[bool, float]:
    return row.ours is None, row.ratio or 0.0


def _one_line(problem: Exception) -> str:
    return f"{type(problem).__name__}: {' '.join(str(problem).split())[:120]}"


def _named(on_progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: on_progress(name, done, total)
