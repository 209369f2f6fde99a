"""Networks of timm and of Hugging Face's transformers, where they are installed; no downloads."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from checkpoints.models.factories import Factory
from checkpoints.own_code import error_in_one_line, read_arguments
from spectra.errors import InputError

TIMM, HUGGING_FACE = "timm", "hf"
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def timm_factory(text: str, in_channels: int | None = None) -> Factory:
    """Return what builds a network of timm, without its published weights.

    Args:
        text: ``timm:NAME``, with arguments of ``timm.create_model`` where some are needed:
            ``timm:vit_tiny_patch16_224(img_size=32, patch_size=4)``.
        in_channels: of the images; None: 3.

    Raises:
        InputError: timm is not installed, or it builds no such network from local files.
    """
    name, named, positional = read_arguments(text.partition(":")[2], text)
    if positional or ":" in name or "/" in name:
        raise InputError(
            f"expected timm:NAME or timm:NAME(img_size=32), NAME one of timm.list_models(), got "
            f"{text!r}; nothing is downloaded"
        )
    timm = _library("timm", text)
    given = dict(named)
    if in_channels not in (None, 3):
        given.setdefault("in_chans", in_channels)

    def call(classes: int | None) -> Any:
        chosen = {} if classes is None else {"num_classes": classes}
        return _built(
            text, lambda: timm.create_model(name, **{"pretrained": False} | chosen | given)
        )

    elsewhere = [key for key in given if key.startswith(("pretrained", "checkpoint", "cache"))]
    if elsewhere:
        raise InputError(
            f"{text}: weights come from the checkpoint alone, and nothing is downloaded; leave out "
            f"{elsewhere[0]}"
        )
    return Factory(text, call, given.get("num_classes"))


def hugging_face_factory(text: str) -> Factory:
    """Return what builds the classifier that a folder's ``config.json`` describes.

    The class is one of transformers itself: code that lies in the folder is not run.

    Args:
        text: ``hf:FOLDER``, a folder as ``save_pretrained`` writes it.

    Raises:
        InputError: transformers is not installed, there is no such folder, or it describes no
            classifier.
    """
    folder = Path(text.partition(":")[2]).expanduser()
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{text}: expected a folder with config.json, as save_pretrained writes it, got "
            f"{folder}; nothing is downloaded"
        )
    library = _library("transformers", text)
    name = f"{HUGGING_FACE}:{folder.resolve().name}"
    config = _built(
        name,
        lambda: library.AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        ),
    )
    if getattr(config, "_attn_implementation", None) not in (None, "eager", "sdpa"):
        config._attn_implementation = "eager"  # others are kernels that may come from the net
    kind = _classifier(library, name, getattr(config, "architectures", None) or ())

    def call(classes: int | None) -> Any:
        return _built(name, lambda: kind(config))

    def renamed(weights: Path) -> Mapping[str, Tensor]:
        model, told = _built(
            name,
            lambda: kind.from_pretrained(
                str(weights),
                local_files_only=True,
                trust_remote_code=False,
                weights_only=True,
                output_loading_info=True,
                dtype="auto",
            ),
        )
        if missing := [*told["missing_keys"], *map(str, told["mismatched_keys"])]:
            raise InputError(
                f"{weights} lacks {len(missing)} weights of {name}, {missing[0]} first"
            )
        found: Mapping[str, Tensor] = model.state_dict()
        return found

    return Factory(name, call, getattr(config, "num_labels", None), renamed=renamed)


def _classifier(library: ModuleType, name: str, listed: Any) -> Any:
    """Return the class that a configuration names, or what makes a classifier of it."""
    for wanted in listed:
        kind = getattr(library, str(wanted), None)
        if isinstance(kind, type) and issubclass(kind, library.PreTrainedModel):
            if "Classification" not in str(wanted):
                raise InputError(
                    f"{name} is a {wanted}, no classifier; expected a folder of a "
                    "...ForSequenceClassification or ...ForImageClassification"
                )
            return kind
    raise InputError(
        f"{name} names the class {', '.join(map(str, listed)) or 'nothing'} in config.json, which "
        "transformers does not have; name yours with --arch FILE.py:CLASS"
    )


def _library(name: str, text: str) -> ModuleType:
    with _offline():
        try:
            return importlib.import_module(name)
        except ImportError as error:
            told = error_in_one_line(error)
            absent = isinstance(error, ModuleNotFoundError) and error.name == name
            raise InputError(
                f"{text} needs {name}, which is not installed; pip install {name}"
                if absent
                else f"{text} needs {name}, which cannot be imported here: {told}"
            ) from error
        except Exception as error:
            raise InputError(
                f"{text} needs {name}, which cannot be imported here: {error_in_one_line(error)}"
            ) from error


def _built(name: str, build: Callable[[], Any]) -> Any:
    with _offline():
        try:
            return build()
        except Exception as error:
            raise InputError(f"{name} cannot be built: {error_in_one_line(error)}") from error


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the libraries from downloading anything."""
    before: Mapping[str, str | None] = {key: os.environ.get(key) for key in _OFFLINE}
    os.environ.update(dict.fromkeys(_OFFLINE, "1"))
    hub = sys.modules.get("huggingface_hub.constants")
    online = getattr(hub, "HF_HUB_OFFLINE", None)
    if hub is not None:
        hub.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
        if hub is not None:
            hub.HF_HUB_OFFLINE = online  # type: ignore[attr-defined]
