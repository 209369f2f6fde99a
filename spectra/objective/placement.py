"""Where to compute, from where a caller's network and images are and what was asked for."""

import functools
import logging

import torch
from torch import nn

from spectra.errors import InputError
from spectra.objective.samples.input_tree import Samples

logger = logging.getLogger(__name__)


def place(
    model: nn.Module, images: Samples, device: torch.device | str | None = None
) -> torch.device:
    """Return the device to compute on; nothing is moved.

    It is ``device`` where that is given, else where model and images both are. Where one of them is
    on an accelerator and the other on the CPU, it is the accelerator, which a warning of this
    module's logger says, once a process.

    Args:
        model: its parameters tell where it is; one without any is where the images are.
        images: as for :class:`spectra.HessianOperator`.
        device: what the caller asks for; ``cuda`` is the current one.

    Raises:
        InputError: there is no such device here, the model is spread over several, or model and
            images are on different accelerators.
    """
    if device is not None:
        return indexed(device)
    there = str(images.device)
    here = str(device_of_model(model, otherwise=there))
    if here == there:
        return torch.device(here)
    if "cpu" not in (here, there):
        raise InputError(
            f"model and images must be on one device, the model is on {here} and the images are "
            f"on {there}; move one of them, or give device="
        )
    chosen = there if here == "cpu" else here
    _say_once(here, there, chosen)
    return torch.device(chosen)


def device_of_model(model: nn.Module, *, otherwise: torch.device | str = "cpu") -> torch.device:
    """Return where a model's parameters are; ``otherwise`` for one without any.

    Raises:
        InputError: they are spread over several devices.
    """
    found = sorted({str(p.device) for p in model.parameters()})
    if len(found) > 1:
        raise InputError(
            f"the model must be on one device, its parameters are on {' and '.join(found)}; "
            "move it, or give device="
        )
    return torch.device(found[0] if found else otherwise)


@functools.cache
def _say_once(here: str, there: str, chosen: str) -> None:
    logger.warning(
        "the model is on %s and the images are on %s: computing on %s; give device= to choose",
        here,
        there,
        chosen,
    )


def indexed(device: torch.device | str) -> torch.device:
    """Return ``device`` with the number of its card: ``cuda`` is the current one.

    Raises:
        InputError: it is no device that is here.
    """
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(
            f"device must be one that torch knows, such as cpu or cuda:0, got {device!r}"
        ) from error
    if chosen.type != "cuda":
        return chosen
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise InputError(f"device {device} is not here: torch sees no CUDA device; use cpu")
    if str(chosen) == "cuda":
        return torch.device("cuda", torch.cuda.current_device())
    if chosen.index >= count:
        last = count - 1
        raise InputError(
            f"device {device} is not here: torch sees {count} CUDA device{'s' * (count > 1)}; use "
            + (f"cuda:0 to cuda:{last}" if last else "cuda:0")
        )
    return chosen
