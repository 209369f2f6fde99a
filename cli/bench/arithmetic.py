"""What a product should cost on a card that nobody here has: launches, operations and bytes.

``python -m cli.bench.arithmetic`` counts again and prints the table of the docs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cli.bench.workload import Workload, random_workload

# Of CIFAR-10-LT at an imbalance of 100, by class.
CIFAR_COUNTS = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
ARCHITECTURE = "resnet32"
# Images in one piece of work on a GPU, of 32x32 pixels.
CHUNK = 1024
COLUMNS = (
    "class", "images", "launches", "GFLOP", "GB", "ms of launches", "H100, ms", "consumer card, ms"
)  # fmt: skip


@dataclass(frozen=True)
class Costs:
    """What one product takes whose primal work is kept.

    Attributes:
        launches: kernels a chunk of images, an operation counted as one.
        flops_per_image: floating-point operations.
        bytes_per_image: read and written by operations whose tensors grow with the images; what a
            cache might save is not taken off.
        bytes_fixed: read and written by the others, whose tensors are weights and vectors.
    """

    launches: int
    flops_per_image: float
    bytes_per_image: float
    bytes_fixed: float


# Of ResNet-32 at 32x32 pixels, as counted by :func:`count_product`; a test counts again.
RESNET32 = Costs(launches=362, flops_per_image=0.826e9, bytes_per_image=35.0e6, bytes_fixed=143e6)


@dataclass(frozen=True)
class Rates:
    """What a card is assumed to do; assumptions, not measurements.

    Attributes:
        name: of the kind of card.
        launch_seconds: a kernel's launch from Python.
        flops: float32 operations a second that convolutions reach.
        bytes_per_second: of its memory.
    """

    name: str
    launch_seconds: float
    flops: float
    bytes_per_second: float


# Launches: ours, what PyTorch takes from Python on current processors. Convolutions in float32
# without TF32 at half of the peak: 51 TFLOP/s and 3.35 TB/s of an H100 SXM, 20 TFLOP/s and .45 TB/s
# of a mid-range consumer card.
H100 = Rates("H100", 8e-6, 0.5 * 51e12, 3.35e12)
CONSUMER = Rates("consumer card", 8e-6, 0.5 * 20e12, 0.45e12)


def product_seconds(costs: Costs, rates: Rates, images: int) -> float:
    """Return what a product should take: the longest of launches, operations and bytes.

    They overlap: while the card computes, the processor launches what comes next.
    """
    chunks = -(-images // CHUNK)
    return max(
        chunks * costs.launches * rates.launch_seconds,
        images * costs.flops_per_image / rates.flops,
        (images * costs.bytes_per_image + chunks * costs.bytes_fixed) / rates.bytes_per_second,
    )


def launch_bound_below(costs: Costs, rates: Rates) -> int:
    """Return the images under which launches take longer than the work, chunks left aside."""
    work = max(costs.flops_per_image / rates.flops, costs.bytes_per_image / rates.bytes_per_second)
    return int(costs.launches * rates.launch_seconds / work)


def arithmetic_rows(
    costs: Costs = RESNET32, counts: Sequence[int] = CIFAR_COUNTS
) -> list[list[str]]:
    """Return the cells under :data:`COLUMNS`, a row a class."""
    rows = []
    for label, n in enumerate(counts):
        chunks = -(-n // CHUNK)
        launches = chunks * costs.launches
        bytes_moved = n * costs.bytes_per_image + chunks * costs.bytes_fixed
        rows.append(
            [
                str(label),
                f"{n:,}",
                f"{launches:,}",
                f"{n * costs.flops_per_image / 1e9:,.0f}",
                f"{bytes_moved / 1e9:.3g}",
                f"{1e3 * launches * H100.launch_seconds:.1f}",
                f"{1e3 * product_seconds(costs, H100, n):.1f}",
                f"{1e3 * product_seconds(costs, CONSUMER, n):.1f}",
            ]
        )
    return rows


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as the docs hold it."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def count_product(architecture: str = ARCHITECTURE) -> Costs:
    """Count a kept product on the CPU: two sizes, of which the second has twice the images.

    Operations are counted as PyTorch dispatches them, views left out; a GPU may take more than one
    kernel for one of them. The counts do not depend on the weights.
    """
    few, many = 4, 8
    workload = random_workload(
        many, seed=0, dtype=torch.float32, device="cpu", architecture=architecture
    )
    (launches, small), (_, large) = (_counted(workload, n) for n in (few, many))
    each = (large - small) / (many - few)
    return Costs(launches, float(workload.product_flops()), each, small - few * each)


def _counted(workload: Workload, n: int) -> tuple[int, float]:
    """Return operations and bytes of a product over the first ``n`` images, in one chunk."""
    part = replace(workload, images=workload.images[:n], labels=workload.labels[:n])
    op = part.operator(micro_chunk=n, check=False)
    v = torch.ones(op.size)
    op.matvec(v)  # the primal work
    with _Counting() as counting:
        op.matvec(v)
    return counting.launches, counting.bytes


class _Counting(TorchDispatchMode):
    """Counts operations that compute, and the bytes of the tensors that they take and give."""

    def __init__(self) -> None:
        super().__init__()
        self.launches, self.bytes = 0, 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = _call(func, args, kwargs or {})
        if not (func.is_view or func.__name__.startswith(("empty", "detach", "_unsafe_view"))):
            self.launches += 1
            tensors = [t for t in tree_leaves((args, kwargs, found)) if isinstance(t, Tensor)]
            self.bytes += sum(t.numel() * t.element_size() for t in tensors)
        return found


def _call(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return func(*args, **kwargs)


if __name__ == "__main__":
    print(count_product())
    print(markdown(COLUMNS, arithmetic_rows()))
    for rates in (H100, CONSUMER):
        print(f"{rates.name}: launches decide under {launch_bound_below(RESNET32, rates)} images")
