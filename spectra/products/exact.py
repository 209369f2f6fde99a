"""Settings under which torch's second derivatives exist and are exact."""

import contextlib
from collections.abc import Iterator

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextlib.contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Keep out of the block what spoils second derivatives; put settings back.

    Fused attention has no second derivative, a fused transformer layer no forward mode; on CUDA,
    TF32 and non-deterministic convolutions.
    """
    with sdpa_kernel(SDPBackend.MATH), _no_fused_layers():
        if device.type != "cuda":
            yield
            return
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            with torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            ):
                yield
        finally:
            torch.set_float32_matmul_precision(precision)


@contextlib.contextmanager
def _no_fused_layers() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
