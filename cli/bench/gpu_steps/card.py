"""Step 1: versions, the card, and the rates that everything else is measured against."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import torch

from cli.bench.comparison.peer_libraries import PACKAGES
from cli.bench.convolution_rate import best_convolution
from cli.bench.gpu_ledger.step import Step
from cli.bench.gpu_ledger.suite import Suite
from cli.bench.machine import machine_facts
from spectra import make_generator
from spectra.system.exact import exact_products
from spectra.system.timing import seconds_of

# Ours: enough kernels that the first ones do not tell, of a size that costs nothing but its launch.
LAUNCHES = 2000
REPEATS = 5


def run(suite: Suite, step: Step) -> None:
    """Record versions and card; time launches, copies, products of matrices and convolutions."""
    device, side = suite.device, suite.sizes.tensor_side
    step.item("versions", lambda: asdict(machine_facts(device, PACKAGES)))
    step.item("card", lambda: _card(device))
    step.item("launches", lambda: {"microseconds": 1e6 * _launch_seconds(device)})
    step.item("copy", lambda: {"bytes_per_second": _copy_rate(device, side)})
    for dtype in (torch.float32, torch.float64):
        name = str(dtype).removeprefix("torch.")
        step.item(f"matrices, {name}", partial(_matrices, device, side, dtype))
        step.item(f"convolutions, {name}", partial(_convolutions, device, dtype))


def _card(device: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "device": device,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }
    if torch.device(device).type == "cuda":
        known = torch.cuda.get_device_properties(device)
        facts |= {
            "name": known.name,
            "bytes": known.total_memory,
            "free_bytes": torch.cuda.mem_get_info(device)[0],
            "multiprocessors": known.multi_processor_count,
            "capability": f"{known.major}.{known.minor}",
        }
    return facts


def _launch_seconds(device: str) -> float:
    """Return seconds a kernel where nothing but its launch costs time."""
    x = torch.zeros(8, device=device)

    def launch() -> None:
        for _ in range(LAUNCHES):
            x.add_(1.0)

    return _best(launch, device) / LAUNCHES


def _copy_rate(device: str, side: int) -> float:
    """Return bytes a second, those read and those written."""
    source = torch.zeros(4 * side, side, device=device)
    target = torch.empty_like(source)
    seconds = _best(lambda: target.copy_(source), device)
    return 2 * source.numel() * source.element_size() / seconds


def _matrices(device: str, side: int, dtype: torch.dtype) -> dict[str, float]:
    """Return floating-point operations a second of a product of square matrices, without TF32."""
    generator = make_generator(0, "gpu suite matrices")
    a = torch.randn(side, side, generator=generator).to(device, dtype)
    with exact_products(torch.device(device)):
        return {"flops": 2.0 * side**3 / _best(lambda: a @ a, device)}


def _convolutions(device: str, dtype: torch.dtype) -> dict[str, Any]:
    return asdict(best_convolution(dtype=dtype, device=device))


def _best(work: Callable[[], object], device: str) -> float:
    """Return the shortest time of a few calls after an untimed one."""
    work()
    return min(seconds_of(work, device) for _ in range(REPEATS))
