"""How training steps are computed, apart from what they compute: precision, layout and graphs."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from checkpoints.choices import BATCH_NORMS, PRECISIONS
from checkpoints.recipes.recipe import Recipe
from checkpoints.training.steps.choose import plain_optimizers
from checkpoints.training.steps.interface import Forward
from spectra.errors import InputError
from spectra.system.precision import float32_precision


@dataclass(frozen=True)
class Execution:
    """What makes training faster and changes its rounding, so that it belongs to a run's identity.

    Weights, momentum, losses and evaluation are in float32 whatever is chosen.

    Attributes:
        precision: ``float32``; ``tf32``: convolutions and matrix products on a GPU's TF32 units
            (no change on a CPU); ``bfloat16``: the network's training passes under autocast.
        channels_last: keep images and convolution weights in that memory format.
        compiled: compile the network by :func:`torch.compile`; for plain optimizers alone
            (:attr:`checkpoints.training.steps.interface.StepRule.plain`).
        captured: record the step as a CUDA graph and replay it; on a GPU and for the same
            optimizers alone (:mod:`checkpoints.training.captured`).
        batch_norm: what batch norm normalises by where several processes share every batch:
            ``shard``, each one's own images (as torch's DistributedDataParallel does), or
            ``synchronised``, the whole batch, as one process does, for four sums a layer and pass.
    """

    precision: str = "float32"
    channels_last: bool = False
    compiled: bool = False
    captured: bool = False
    batch_norm: str = BATCH_NORMS[0]

    def __post_init__(self) -> None:
        for name, choices in (("precision", PRECISIONS), ("batch_norm", BATCH_NORMS)):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )

    @property
    def identity(self) -> dict[str, Any] | None:
        """What a resumed run must agree in; None for the default, as before there was a choice."""
        if self == EXACT:
            return None
        # Left out where it is off: runs of before there was a choice resume.
        plain = {k: v for k, v in asdict(self).items() if v or k != "captured"}
        if self.batch_norm == BATCH_NORMS[0]:
            del plain["batch_norm"]
        return plain

    @property
    def note(self) -> str | None:
        """What a checkpoint says of it; None for the default."""
        parts = [
            *([self.precision] if self.precision != "float32" else []),
            *(["channels-last"] if self.channels_last else []),
            *(["compiled"] if self.compiled else []),
            *(["captured"] if self.captured else []),
        ]
        return f"trained in {', '.join(parts)}" if parts else None

    def check(self, recipe: Recipe) -> None:
        """Raise InputError where a recipe's steps cannot be computed in this way."""
        optimizer, plain = recipe.optimizer, plain_optimizers()
        if recipe.sam_shards > 1 and self.batch_norm != BATCH_NORMS[0]:
            raise InputError(
                f"{recipe.sam_shards} parts of a batch that climb each on its own (sam_shards) "
                "are normalised each on its own; leave --batch-norm out, or sam_shards"
            )
        for chosen, what, option in (
            (self.compiled, "compiled network", "--compile"),
            (self.captured, "captured step", "--capture"),
        ):
            if chosen and optimizer not in plain:
                raise InputError(
                    f"a {what} serves the optimizers {', '.join(plain)}, got "
                    f"{optimizer}; leave {option} out"
                )

    def check_ranks(self, recipe: Recipe, ranks: int) -> None:
        """Raise InputError where several processes cannot make a recipe's steps together."""
        if ranks == 1:
            return
        if self.captured or self.compiled:
            option = "--capture" if self.captured else "--compile"
            raise InputError(f"{option} is for one process, and this job has {ranks}; leave it out")
        if recipe.sam_shards > 1 and recipe.sam_shards % ranks:
            raise InputError(
                f"sam_shards must be a multiple of the {ranks} processes, so that each has whole "
                f"parts, got {recipe.sam_shards}"
            )

    def check_device(self, device: torch.device) -> None:
        """Raise InputError where steps are to be captured and ``device`` is no CUDA device."""
        if self.captured and device.type != "cuda":
            raise InputError(
                f"a captured step needs a CUDA device, got {device.type}; leave --capture out or "
                "set --device cuda"
            )

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Move ``model`` there, in the layout chosen."""
        model = model.to(device)
        if self.channels_last:
            # Of tensors with four dimensions alone. The stubs of Module.to lack this argument.
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model

    def forward(self, model: nn.Module) -> Forward:
        """Return the training passes of ``model``: images (n, channels, h, w) to float32 outputs.

        Raises:
            InputError: on its first call, where the network cannot be compiled here.
        """
        run = _compiled(model) if self.compiled else model

        def outputs(x: Tensor) -> Tensor:
            if self.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            if self.precision != "bfloat16":
                found: Tensor = run(x)
                return found
            with torch.autocast(x.device.type, torch.bfloat16):
                found = run(x)
            return found.float()

        return outputs

    @contextlib.contextmanager
    def settings(self, device: torch.device) -> Iterator[None]:
        """Allow TF32 within the block where chosen, on a GPU; torch's settings are put back."""
        with float32_precision(device, tf32=self.precision == "tf32"):
            yield


EXACT = Execution()


def _compiled(model: nn.Module) -> Forward:
    """Return ``model`` compiled at its first call; what goes wrong in that is one line."""

    @functools.cache
    def compiled() -> Any:
        return torch.compile(model, dynamic=False)

    def run(x: Tensor) -> Tensor:
        try:
            found: Tensor = compiled()(x)
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            reason = str(error).strip().partition("\n")[0]
            raise InputError(
                f"the network cannot be compiled here ({reason}); leave --compile out"
            ) from error
        return found

    return run
