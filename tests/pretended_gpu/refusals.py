"""That the card refuses what CUDA refuses, and waits where CUDA waits: the oracle of the rest."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pretended_gpu.stage import Facts, Stage


def refused(action: Callable[[], object]) -> str:
    """Return the error of ``action``; empty where there is none."""
    try:
        action()
    except (RuntimeError, TypeError, IndexError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def refusals(stage: Stage) -> Facts:
    """Return the errors of what must not work, the waits of what waits, and of what does not."""
    here = torch.arange(6.0)
    there = here.to(stage.device)
    mask, chosen = there > 2, torch.tensor([1, 2])
    weight = torch.ones(1, 1, 3, 3)
    image = torch.ones(1, 1, 4, 4, device=stage.device)
    errors = {
        "sum with a tensor of the processor": refused(lambda: there + here),
        "concatenation": refused(lambda: torch.cat([there, here])),
        "concatenation with a number of the processor": refused(
            lambda: torch.stack([there[0], torch.tensor(1.0)])
        ),
        "matrix product": refused(lambda: there @ here),
        "convolution": refused(lambda: torch.nn.functional.conv2d(image, weight)),
        "gather": refused(lambda: there.gather(0, chosen)),
        "index of the card into a tensor of the processor": refused(
            lambda: here[chosen.to(stage.device)]
        ),
        "numpy": refused(lambda: there.numpy()),
        "generator of the processor": refused(
            lambda: torch.randn(3, device=stage.device, generator=torch.Generator())
        ),
        "in-place sum": refused(lambda: here.add_(there)),
    }
    if stage.card is not None:
        errors["reading while a graph is recorded"] = refused(lambda: _recorded_reading(there))
    if torch.cuda.device_count() > 1:
        errors["sum of two cards"] = refused(lambda: there + here.to("cuda:1"))
    host = torch.empty(6)
    waits = {
        "item": lambda: there.sum().item(),
        "float": lambda: float(there[0]),
        "truth": lambda: bool(there.any()),
        "list": lambda: there.tolist(),
        "download": lambda: there.cpu(),
        "copy into the processor": lambda: host.copy_(there),
        "upload": lambda: here.to(stage.device),
        "new tensor": lambda: torch.tensor([1.0], device=stage.device),
        "mask": lambda: there[mask],
        "nonzero": lambda: mask.nonzero(),
        "put under a mask": lambda: there.clone().__setitem__(mask, there[:3]),
        "index of the processor": lambda: there[chosen],
        "unique": lambda: there.unique(),
        "equal": lambda: torch.equal(there, there),
        "bincount": lambda: there.long().bincount(),
        "repeats": lambda: there.repeat_interleave(there.long()),
    }
    none = {
        "arithmetic": lambda: (2 * there + 1).exp().sum(),
        "number of the processor": lambda: there * torch.tensor(2.0),
        "number under a mask": lambda: there.clone().__setitem__(mask, 0.0),
        "new zeros": lambda: torch.zeros(3, device=stage.device),
        "range": lambda: torch.arange(3, device=stage.device),
        "between places of the card": lambda: there.clone().copy_(there),
        "choice by a mask": lambda: torch.where(mask, there, 0.0),
        "shape": lambda: there.view(2, 3).T.shape[0],
        "type": lambda: there.double(),
    }
    return {
        "errors": errors,
        "waits": {name: _waits(stage, action) for name, action in waits.items()},
        "no waits": {name: _waits(stage, action) for name, action in none.items()},
        "one launch": {
            "sum over a list of tensors": _launches(
                stage, lambda: torch._foreach_add([there, mask.float()], 1.0), less=1
            ),
            "sum": _launches(stage, lambda: there + there),
            "view": 1 + _launches(stage, lambda: there.view(2, 3)[1:].T),
        },
    }


def _recorded_reading(tensor: Tensor) -> None:
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        (tensor + 1).sum().item()


def _waits(stage: Stage, action: Callable[[], object]) -> int:
    with stage.counted() as count:
        action()
    return count.waits.total()


def _launches(stage: Stage, action: Callable[[], object], less: int = 0) -> int:
    with stage.counted() as count:
        action()
    return count.launches - less
