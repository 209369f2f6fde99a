"""Data of the user's own: what a function that they name returns."""

from collections.abc import Mapping
from typing import Any

import torch

from checkpoints.data.dataset import ImageData, Labelled, LabelledImages, LabelledInputs
from checkpoints.own_code import import_own, in_one_line, needs
from spectra.classes.image_source import image_source
from spectra.errors import InputError
from spectra.objective.samples.input_tree import InputTree, Samples
from spectra.objective.samples.trees import map_leaves
from spectra.system.allocator import available_bytes

_EXPECTED = "(inputs, labels), a Dataset, a DataLoader, or a pair of these for training and test"


def read_own(text: str) -> tuple[str, Labelled, Labelled | None]:
    """Call what the user named, ``data.py:load`` or ``module:load``, and read what it returns.

    A class is made, a function is called, both with the arguments that stand in brackets. Anything
    else is taken as it is.

    Returns:
        How the data are called, training samples, and test samples or None.

    Raises:
        InputError: there is no such thing, it fails, or it returns something else.
    """
    code = import_own(text)
    if missing := needs(code) if callable(code.found) else []:
        shown = ", ".join(f"{one}=..." for one in missing)
        raise InputError(
            f"{code.name} needs {', '.join(missing)} to be called; write "
            f"'{text.partition('(')[0]}({shown})'"
        )
    found = code.call() if callable(code.found) else code.found
    if isinstance(found, ImageData):
        return code.name, found.train, found.test
    if _is_two_splits(found):
        return code.name, _read(found[0], code.name), _read(found[1], code.name)
    return code.name, _read(found, code.name), None


def _is_two_splits(found: Any) -> bool:
    """Say whether something is a pair of data sets, and not of inputs and labels."""
    if not isinstance(found, tuple | list) or len(found) != 2:
        return False
    second = found[1]
    if isinstance(second, tuple | list):
        return len(second) == 2 and not all(isinstance(label, int) for label in second)
    return not hasattr(second, "dtype") and hasattr(second, "__getitem__")


def _read(data: Any, name: str) -> Labelled:
    try:
        with in_one_line(f"{name} cannot be read"):
            source = image_source(_with_tokens(data, name), room=available_bytes() // 2)
            inputs = source.take(torch.arange(len(source.labels)))
    except InputError as error:
        raise InputError(f"{name} must return {_EXPECTED}: {error}") from error
    inputs = _detached(inputs)
    if isinstance(inputs, torch.Tensor) and inputs.dtype == torch.uint8 and inputs.ndim == 4:
        return LabelledImages(inputs, source.labels)
    return LabelledInputs(inputs, source.labels)


def _detached(samples: Samples) -> Samples:
    """Return samples without the graph that a function's own computation left on them."""
    if isinstance(samples, torch.Tensor):
        return samples.detach()
    if isinstance(samples, InputTree):
        return InputTree(map_leaves(_leaf_detached, samples.tree))
    return samples


def _leaf_detached(leaf: Any) -> Any:
    return leaf.detach() if isinstance(leaf, torch.Tensor) else leaf


def _with_tokens(data: Any, name: str) -> Any:
    """Return (inputs, labels) with lists of numbers, as tokenizers give them, as tensors.

    Raises:
        InputError: samples differ in length.
    """
    if not isinstance(data, tuple | list) or len(data) != 2 or not isinstance(data[0], Mapping):
        return data
    return {key: _tokens(value, f"{name}: {key}") for key, value in data[0].items()}, data[1]


def _tokens(value: Any, origin: str) -> Any:
    rows = isinstance(value, list) and value and all(isinstance(row, list) for row in value)
    if not rows or not all(isinstance(one, int | float) for row in value for one in row):
        return value
    if len({len(row) for row in value}) > 1:
        raise InputError(
            f"{origin} has samples of different lengths; pad them, as a tokenizer does with "
            'padding=True, return_tensors="pt"'
        )
    return torch.tensor(value)
