"""Which of what a network returns are its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from spectra.errors import InputError
from spectra.objective.samples.trees import children, is_branch

# Names under which libraries return outputs, the first that is there is taken: Hugging Face's,
# torchvision's, and what people write.
_NAMES = ("logits", "out", "output", "outputs", "prediction", "predictions", "pred", "preds")
_ADVICE = "give forward=, such as lambda model, batch: model(batch)"


@dataclass(frozen=True)
class OutputPlace:
    """Where outputs are in what a network returns.

    Attributes:
        steps: names and positions, from the outside; none where it returns the outputs themselves.
        beside: the other tensors there, for people.
    """

    steps: tuple[str | int, ...] = ()
    beside: tuple[str, ...] = ()

    def take(self, answer: Any) -> Any:
        """Return the outputs in an answer of the network."""
        for step in self.steps:
            if isinstance(step, int) or isinstance(answer, Mapping):
                answer = answer[step]
            else:
                answer = getattr(answer, step)
        return answer

    def __str__(self) -> str:
        return ".".join(map(str, self.steps))


def find_outputs(answer: Any, count: int) -> OutputPlace:
    """Return where the outputs are in what a network returned for ``count`` samples.

    They are the answer where it is a tensor; what is called ``logits``, or has another usual name,
    in a dictionary or an object, or its only tensor; the first tensor of one entry a sample in a
    tuple or list.

    Raises:
        InputError: it holds no tensor, or several of which none is called outputs.

    >>> import torch
    >>> find_outputs({"logits": torch.zeros(2, 3), "hidden": torch.zeros(2, 9)}, 2).steps
    ('logits',)
    >>> find_outputs((torch.tensor(0.5), torch.zeros(2, 3)), 2).steps  # a loss comes first
    (1,)
    """
    if isinstance(answer, Tensor):
        if not answer.ndim or len(answer) != count:
            raise InputError(
                f"the model must return its outputs (n, C), one row an image, got "
                f"{tuple(answer.shape)} for {count} images; {_ADVICE} and what puts them in order"
            )
        return OutputPlace()
    parts = _parts(answer)
    fitting = [key for key, value in parts.items() if _has_outputs(value, count)]
    if not fitting:
        raise InputError(
            f"the model must return its outputs (n, C) as a tensor, got {type(answer).__name__} "
            f"without one; {_ADVICE}.logits, or [0]"
        )
    if isinstance(answer, (tuple, list)) or len(fitting) == 1:
        chosen = fitting[0]
    else:
        named = [key for key in _NAMES if key in fitting]
        if not named:
            raise InputError(
                f"the model returns several tensors, {', '.join(map(str, fitting))}; {_ADVICE}"
                f"[{fitting[0]!r}] to say which are its outputs"
            )
        chosen = named[0]
    inner = find_outputs(parts[chosen], count)
    beside = tuple(str(key) for key in fitting if key != chosen)
    return OutputPlace((chosen, *inner.steps), beside + inner.beside)


def _parts(answer: Any) -> dict[Any, Any]:
    if is_branch(answer):
        return dict(children(answer))
    # An object of somebody's own, such as an answer with logits, perhaps as a property.
    named = {name: getattr(answer, name) for name in _NAMES if hasattr(answer, name)}
    shown = {k: v for k, v in getattr(answer, "__dict__", {}).items() if not k.startswith("_")}
    return named | shown


def _has_outputs(value: Any, count: int) -> bool:
    if isinstance(value, Tensor):
        return value.ndim > 0 and len(value) == count
    return is_branch(value) and any(_has_outputs(part, count) for _, part in children(value))
