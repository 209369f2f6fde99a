"""The fastest convolutions that this machine does: what products are measured against."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from spectra import make_generator
from spectra.objective.workers import map_in_order
from spectra.system.exact import exact_products
from spectra.system.timing import synchronise

# Channels and sides of the three stages of the CIFAR ResNets; all do the same work an image.
STAGES = ((16, 32), (32, 16), (64, 8))
BATCHES = {"cpu": (32, 128), "cuda": (512, 2048)}
FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
# Ours: long enough that a clock's and a hand-over's cost do not tell.
SECONDS_PER_CASE = 5e-3
CALLS_PER_CORE = 4


@dataclass(frozen=True)
class ConvolutionRate:
    """The rate of one way of convolving.

    Attributes:
        flops: floating-point operations a second, two a multiply-and-add.
        case: direction, shape, memory format, and how the cores were used.
    """

    flops: float
    case: str


def best_convolution(*, dtype: torch.dtype, device: str) -> ConvolutionRate:
    """Return the best rate of 3x3 convolutions, forward and backward to the input, right now.

    Each is tried at the widths of :data:`STAGES`, in both memory formats, in one call that uses
    torch's threads, and in single-thread calls on several cores at once.
    """
    with torch.no_grad(), exact_products(torch.device(device)):
        return max(_rates(dtype, device), key=lambda rate: rate.flops)


def _rates(dtype: torch.dtype, device: str) -> Iterator[ConvolutionRate]:
    generator = make_generator(0, "convolutions")
    kind = torch.device(device).type
    threads = torch.get_num_threads()
    for channels, side in STAGES:
        kernel = torch.randn(channels, channels, 3, 3, generator=generator)
        for batch in BATCHES[kind]:
            images = torch.randn(batch, channels, side, side, generator=generator)
            flops = 2.0 * batch * side**2 * 9 * channels**2
            for format_name, memory_format in FORMATS.items():
                x = images.to(device, dtype).contiguous(memory_format=memory_format)
                w = kernel.to(device, dtype).contiguous(memory_format=memory_format)
                calls: dict[str, Callable[[], Tensor]] = {
                    "forward": partial(functional.conv2d, x, w, padding=1),
                    "backward": partial(_backward, x, w),
                }
                for direction, call in calls.items():
                    case = f"{direction} {batch}x{channels}x{side}x{side} {format_name}"
                    yield ConvolutionRate(flops / _seconds(call, device), f"{case}, one call")
                    if kind == "cpu" and threads > 1:
                        seconds = _seconds(partial(_on_every_core, call), device)
                        rate = CALLS_PER_CORE * threads * flops / seconds
                        yield ConvolutionRate(rate, f"{case}, one thread on each core")


def _backward(cotangent: Tensor, kernel: Tensor) -> Tensor:
    return torch.ops.aten.convolution_backward(
        cotangent, cotangent, kernel, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1,
        [True, False, False],
    )[0]  # fmt: skip


def _on_every_core(call: Callable[[], Tensor]) -> None:
    for _ in map_in_order(
        _call_without_grad(call), range(CALLS_PER_CORE * torch.get_num_threads())
    ):
        pass


def _call_without_grad(call: Callable[[], Tensor]) -> Callable[[int], None]:
    @torch.no_grad()  # the setting is one a thread
    def work(_: int) -> None:
        call()

    return work


def _seconds(call: Callable[[], object], device: str) -> float:
    """Return the time of the fastest call after a first, untimed one."""
    call()
    synchronise(device)
    best, spent, calls = float("inf"), 0.0, 0
    while spent < SECONDS_PER_CASE or calls < 2:
        start = time.perf_counter()
        call()
        synchronise(device)
        took = time.perf_counter() - start
        best, spent, calls = min(best, took), spent + took, calls + 1
    return best
