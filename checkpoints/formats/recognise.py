"""Which architecture a stranger's state dict belongs to."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from checkpoints.choices import CIFAR_DEPTHS, PHOTO_NETWORK
from checkpoints.formats.fitting import is_counter, shown_keys
from checkpoints.models import Architecture, build_model
from checkpoints.models.bottlenecks import BLOCKS_OF_50, EXPANSION, PLANES
from spectra.errors import InputError

State = Mapping[str, Tensor]
WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes of DataParallel and torch.compile."""
HOLDERS = ("model.", "backbone.", "net.")
"""Usual names of the attribute that holds a whole network: Lightning's modules, and others."""
_FACTORY = (
    "name it with --arch: --arch net.py:Net for the class Net in your own file net.py, "
    "--arch timm:NAME, or --arch hf:FOLDER"
)


_HEAD = re.compile(
    r"(^|[._])(head|heads|fc|classifier|classification|linear|logits?|score|output|out|last)[._]"
)


# Features before the head, and height = width of images, where they are not 64 and 32.
_OWN_SIZES = {"digits-resnet": (32, 8), PHOTO_NETWORK: (PLANES[-1] * EXPANSION, 224)}


class UnknownArchitectureError(InputError):
    """The weights are of no architecture of ours."""


def strip_prefixes(state: State, prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """Remove those of ``prefixes`` that every key has, one inside the other too."""
    plain = dict(state)
    while plain and any(all(key.startswith(p) for key in plain) for p in prefixes):
        plain = {key.partition(".")[2]: value for key, value in plain.items()}
    return plain


def rename_keys(state: State) -> dict[str, Tensor]:
    """Rename ``fc`` and ``classifier`` to ``linear`` and a block's ``downsample`` to ``shortcut``.

    In a network of bottlenecks the names are torchvision's instead: ``fc`` and ``downsample``.

    Raises:
        InputError: two keys would get the same name.
    """
    renamed: dict[str, Tensor] = {}
    photos = has_bottlenecks(state)
    projection = "downsample" if photos else "shortcut"
    for key, value in state.items():
        new = re.sub(r"^(fc|classifier|linear)\.(?=weight$|bias$)", f"{_head_name(photos)}.", key)
        new = re.sub(r"^(layer\d+\.\d+\.)(downsample|shortcut)\.", rf"\1{projection}.", new)
        if new in renamed:
            raise InputError(f"the weights hold {new} under two names; {_FACTORY}")
        renamed[new] = value
    return renamed


def has_bottlenecks(state: State) -> bool:
    """Say whether the weights are of blocks of three convolutions, as ResNet-50 has them."""
    return any(re.match(r"layer\d+\.\d+\.conv3\.", key) for key in state)


def _head_name(photos: bool) -> str:
    return "fc" if photos else "linear"


def infer_architecture(
    state: State,
    *,
    arch: str | None = None,
    num_classes: int | None = None,
    head: str | None = None,
    shortcut: str | None = None,
    in_channels: int | None = None,
    image_size: int | None = None,
    as_spelled: State | None = None,
) -> Architecture:
    """Return the known architecture whose parameters are those of ``state``, renamed as ours.

    Every option that is not None replaces what the weights tell. The result is checked: each
    parameter and buffer of the architecture is there, with its shape, and no other.
    ``as_spelled`` is the state under the file's own keys, which messages show.

    Raises:
        InputError: no known architecture fits; the message says which option may help.
    """
    shown = state if as_spelled is None else as_spelled
    photos = has_bottlenecks(state)
    weight = state.get(f"{_head_name(photos)}.weight")
    if weight is None or weight.ndim != 2:
        near = [k for k in shown if re.search(r"\.(linear|fc|classifier)\.weight$", k)]
        raise UnknownArchitectureError(
            _unknown(shown, f", though there is {near[0]}" if near else "")
        )
    residual = any(re.match(r"layer\d+\.", key) for key in state)
    if arch is None and not residual and not set(state) <= {"linear.weight", "linear.bias"}:
        raise UnknownArchitectureError(_unknown(shown))
    if not residual and (arch or "softmax") == "softmax":
        channels, size = _pixels(weight.shape[1], in_channels, image_size)
        found = Architecture(
            "softmax", _given(num_classes, weight.shape[0]), channels, size, head or "linear"
        )
    else:
        name = arch or _resnet_name(state)
        width, size = _OWN_SIZES.get(name, (64, 32))
        kind = head or _head(state, weight, width, photos)
        has_shortcut = any(".shortcut." in key for key in state)
        conv = state.get("conv1.weight")
        found = Architecture(
            name,
            _given(num_classes, weight.shape[1 if kind == "cosine" else 0]),
            _given(in_channels, conv.shape[1] if conv is not None and conv.ndim == 4 else 3),
            _given(image_size, size),
            kind,
            shortcut or ("B" if has_shortcut else "A"),
        )
    _check_fit(state, found)
    return found


def likely_classes(state: State) -> list[int]:
    """Return the numbers of outputs of the layers that may be the last, the likeliest first.

    Args:
        state: of any network; its order tells little where safetensors have sorted it.
    """
    rows = [
        (key, value.shape[0])
        for key, value in state.items()
        if key.endswith("weight") and value.ndim >= 2
    ]

    def unlikeliness(item: tuple[int, tuple[str, int]]) -> tuple[bool, bool, bool, int]:
        place, (key, outputs) = item
        bias = state.get(key.removesuffix("weight") + "bias")
        with_bias = bias is not None and bias.shape == (outputs,)
        flat = state[key].ndim == 2
        return not _HEAD.search(key), not with_bias, not flat, -place

    ordered = [outputs for _, (_, outputs) in sorted(enumerate(rows), key=unlikeliness)]
    return list(dict.fromkeys(ordered))


def number_of_classes(state: State) -> int | None:
    """Return the outputs of a network's last layer, of a state in the network's own order.

    None: that layer has no bias, and may be none that gives outputs.
    """
    last = [key for key, value in state.items() if key.endswith("weight") and value.ndim >= 2]
    for key in reversed(last):
        bias = state.get(key.removesuffix("weight") + "bias")
        if bias is not None and bias.shape == state[key].shape[:1]:
            return len(bias)
    return None


def _unknown(state: State, more: str = "") -> str:
    """Say that nothing is known of a network with these keys, and what they look like."""
    return (
        f"these are weights of no architecture that is known here{more}; they are "
        f"{shown_keys(state)}"
    )


def _given(option: int | None, inferred: int) -> int:
    return inferred if option is None else option


def _resnet_name(state: State) -> str:
    stages: dict[int, set[int]] = {}
    for key in state:
        if match := re.match(r"layer(\d+)\.(\d+)\.", key):
            stages.setdefault(int(match[1]), set()).add(int(match[2]))
    blocks = [len(stages[stage]) for stage in sorted(stages)]
    if blocks == [1, 1]:
        return "digits-resnet"
    if has_bottlenecks(state) and blocks == list(BLOCKS_OF_50):
        return PHOTO_NETWORK
    depth = 6 * blocks[0] + 2 if blocks else 0
    if len(blocks) == 3 and len(set(blocks)) == 1 and depth in CIFAR_DEPTHS:
        return f"resnet{depth}"
    seen = f"stages of {', '.join(map(str, blocks))} blocks" if blocks else "no layer1, layer2, ..."
    raise InputError(
        f"expected the keys of a CIFAR ResNet-{{{', '.join(map(str, CIFAR_DEPTHS))}}}, of a "
        f"ResNet-50 or of a digits-resnet, got {seen}; {_FACTORY}"
    )


def _head(state: State, weight: Tensor, width: int, photos: bool) -> str:
    if f"{_head_name(photos)}.bias" in state:
        return "linear"
    if weight.shape == (width, width):
        raise InputError(
            f"a head of shape {tuple(weight.shape)} without bias could be (in, out) or (out, in); "
            "give --head cosine if its columns are the classes, --arch FILE.py:CLASS otherwise"
        )
    if weight.shape[0] == width:
        return "cosine"
    raise InputError(
        f"a head without bias should be a cosine head of shape ({width}, classes), got "
        f"{tuple(weight.shape)}; {_FACTORY}"
    )


def _pixels(inputs: int, in_channels: int | None, image_size: int | None) -> tuple[int, int]:
    """Split the inputs of a softmax regression into channels and height = width."""
    # 3·a² is never b², so at most one of the two usual numbers of channels fits.
    for channels in (in_channels,) if in_channels else (3, 1):
        size = image_size or round((inputs / channels) ** 0.5)
        if channels * size**2 == inputs:
            return channels, size
    raise InputError(
        f"cannot tell the images of a softmax regression on {inputs} inputs; give --in-channels "
        "and --image-size with channels x size x size equal to it"
    )


def _check_fit(state: State, arch: Architecture) -> None:
    with torch.device("meta"):
        model = build_model(arch)
    ours = {k: tuple(v.shape) for k, v in model.state_dict().items() if not is_counter(k)}
    theirs = {k: tuple(v.shape) for k, v in state.items() if not is_counter(k)}
    wrong = [
        f"{key} is {theirs.get(key, 'absent')} and should be {ours.get(key, 'absent')}"
        for key in sorted({*ours, *theirs})
        if ours.get(key) != theirs.get(key)
    ]
    if wrong:
        raise InputError(
            f"the weights do not fit {arch.name} with {arch.num_classes} classes, a {arch.head} "
            f"head and shortcut {arch.shortcut}: {wrong[0]}"
            + (f" ({len(wrong) - 1} more)" if len(wrong) > 1 else "")
            + "; correct this with --arch (net.py:Net for a network of your own), --num-classes or "
            "--head"
        )
