"""Settings under which torch's second derivatives exist and are exact."""

import contextlib
from collections.abc import Iterator

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from spectra.errors import InputError
from spectra.system.precision import (
    float32_precision,
    full_precision_held,
    settings_are_held,
)


def check_mode() -> None:
    """Raise InputError in torch's inference mode, where no derivative can be taken."""
    if torch.is_inference_mode_enabled():
        raise InputError(
            "derivatives cannot be taken in torch.inference_mode: leave it first (torch.no_grad "
            "does no harm)"
        )


@contextlib.contextmanager
def exact_products(
    device: torch.device, *, deterministic: bool = True, benchmark: bool = False
) -> Iterator[None]:
    """Keep out of the block what spoils second derivatives; put settings back.

    Fused attention has no second derivative, a fused transformer layer no forward mode, and less
    than full float32 is 1 to 3 % of λmax; on CUDA, cuDNN's kernels are chosen as told.

    Args:
        device: where products are made.
        deterministic: take those cuDNN kernels alone that always give the same bytes.
        benchmark: let cuDNN time its kernels on the first call of each shape and take the fastest.

    Raises:
        InputError: it is entered in torch's inference mode.
    """
    check_mode()
    if settings_are_held():
        yield
        return
    with (
        sdpa_kernel(SDPBackend.MATH),
        _no_fused_layers(),
        float32_precision(device, tf32=False),
        _cudnn_kernels(device, deterministic, benchmark),
    ):
        yield


@contextlib.contextmanager
def exact_in_all_threads(device: torch.device) -> Iterator[None]:
    """Have the settings of :func:`exact_products` hold for every thread inside the block.

    They are the process's: threads that each set them and put them back would do so beneath each
    other. Inside the block the other contexts leave them alone.

    Args:
        device: where products are made.
    """
    with exact_products(device), full_precision_held(device):
        yield


@contextlib.contextmanager
def _cudnn_kernels(device: torch.device, deterministic: bool, benchmark: bool) -> Iterator[None]:
    # Not torch.backends.cudnn.flags(), which reads and writes TF32 by the older interface.
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = deterministic, benchmark
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


@contextlib.contextmanager
def _no_fused_layers() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
