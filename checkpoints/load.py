"""Finding and reading checkpoints: files, run folders, and the bundled set."""

import itertools
import re
from dataclasses import dataclass, replace
from pathlib import Path

from checkpoints.bundled_files import BUNDLED, bundled_file, bundled_run, check_if_bundled
from checkpoints.checkpoint import Checkpoint
from checkpoints.formats.folders import is_folder_of_weights
from checkpoints.formats.foreign import SUFFIXES, load_foreign
from checkpoints.formats.native import is_native, load_native
from checkpoints.formats.torch_files import refuse_what_is_no_checkpoint
from checkpoints.models.registry import factory_named
from spectra.errors import InputError

_EXPECTED = f"a file, a run's folder or {BUNDLED}RUN ('spectra checkpoints list' names them)"
_NUMBER_OF_EPOCH = re.compile(r"(?:epoch|ep|step|iter)[=_-]?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class LoadOptions:
    """What a stranger's file does not say; None: infer it, or fail and say what to give.

    Attributes:
        arch: architecture name, or what builds a network: ``net.py:Net``, ``module:NAME``,
            ``timm:NAME``, ``hf:FOLDER``. Code is run only if it is named here.
        num_classes: outputs.
        head: ``linear`` or ``cosine``.
    """

    arch: str | None = None
    num_classes: int | None = None
    head: str | None = None


def load_checkpoint(reference: str | Path, options: LoadOptions | None = None) -> Checkpoint:
    """Load one checkpoint.

    Args:
        reference: a file; a run's folder or ``bundled:digits/ce-drw``, which mean the last epoch;
            or either of these with ``@EPOCH``; or a folder as ``save_pretrained`` writes it.
        options: for files of others; given values override what our own files say, too.

    Raises:
        InputError: nothing there, not a checkpoint, damaged, or not enough is known of it.

    Example:
        >>> from checkpoints import load_checkpoint
        >>> last = load_checkpoint("bundled:digits/ce-drw")
        >>> last.name, last.epoch, last.class_counts[-1]
        ('digits/ce-drw', 200, 6)
    """
    options = options or LoadOptions()
    path = find_checkpoint(reference)
    check_if_bundled(path)
    if path.suffix == ".safetensors":
        refuse_what_is_no_checkpoint(path)
    if path.suffix == ".safetensors" and is_native(path):
        checkpoint = load_native(path)
        known = checkpoint.architecture
        factory = None
        if options.arch is not None and ":" in options.arch:
            factory = factory_named(options.arch, (path.absolute().parent,), known.in_channels)
        architecture = replace(
            known,
            name=factory.name if factory else options.arch or known.name,
            num_classes=known.num_classes if options.num_classes is None else options.num_classes,
            head=options.head or known.head,
        )
        return replace(
            checkpoint,
            architecture=architecture,
            factory=factory,
            stated_classes=options.num_classes,
            origin=str(path),
        )
    found = load_foreign(
        path, arch=options.arch, num_classes=options.num_classes, head=options.head
    )
    return replace(found, origin=str(path))


def find_checkpoint(reference: str | Path) -> Path:
    """Return the file that ``reference`` means, see :func:`load_checkpoint`.

    Raises:
        InputError: there is none.
    """
    text, epoch = _split_epoch(str(reference))
    if text.startswith(BUNDLED):
        return bundled_file(text.removeprefix(BUNDLED), epoch)
    path = Path(text).expanduser()
    if path.is_file() or is_folder_of_weights(path):
        if epoch is not None:
            raise InputError(f"{text} is one file; @{epoch} goes with a run's folder")
        return path
    found = list_checkpoints(text)
    if epoch is None:
        return found[-1][1]
    for number, file in found:
        if number == epoch:
            return file
    known = ", ".join(str(number) for number, _ in found)
    raise InputError(f"{text} has no checkpoint of epoch {epoch}; it has {known}")


def notes_of_folder(reference: str | Path) -> tuple[str, ...]:
    """Return a note on which of several files of others a folder stands for; none for our runs."""
    if not Path(reference).is_dir():
        return ()
    found = list_checkpoints(reference)
    epochs = [epoch for epoch, _ in found]
    last = found[-1][1]
    if len(epochs) < 2 or (last.suffix == ".safetensors" and is_native(last)):
        return ()
    return (
        f"of the {len(epochs)} checkpoints in {reference} the last, epoch {epochs[-1]}; "
        f"{reference}@{epochs[0]} is another, and 'spectra trajectory' takes all",
    )


def list_checkpoints(reference: str | Path) -> list[tuple[int | None, Path]]:
    """Return (epoch, file) for every checkpoint of a run's folder, in the order of training.

    Our own runs hold ``checkpoints/epoch-0100.safetensors``; the reference code writes
    ``100_ckpt.pth.tar``. Its ``ckpt.pth.tar`` and ``ckpt.best.pth.tar`` were chosen on test images
    and stand in only where there is nothing else. So do files of others that differ by a number
    in their names, as ``ckpt_1.pth`` and ``ckpt_10.pth`` do: their epochs.

    Raises:
        InputError: there is no such folder, it holds none, or two of one epoch.

    Example:
        >>> from checkpoints import list_checkpoints
        >>> [epoch for epoch, _ in list_checkpoints("bundled:digits/ce-drw")][-2:]
        [190, 200]
    """
    if not str(reference).strip():
        raise InputError(f"a checkpoint must be named; expected {_EXPECTED}")
    if str(reference).startswith(BUNDLED):
        files = bundled_run(str(reference).removeprefix(BUNDLED))
        return [(file.epoch, file.path) for file in files]
    folder = Path(reference).expanduser()
    if not folder.exists():
        raise InputError(f"no checkpoint at {reference}; expected {_EXPECTED}")
    if folder.is_file() or is_folder_of_weights(folder):
        return [(None, folder)]
    found: list[tuple[int | None, Path]] = []
    own = sorted(folder.glob("epoch-*.safetensors"))
    for file in own or sorted((folder / "checkpoints").glob("epoch-*.safetensors")):
        match = re.fullmatch(r"epoch-(\d+)", file.stem)
        if match:
            found.append((int(match[1]), file))
    for file in folder.glob("*_ckpt.pth.tar"):
        match = re.fullmatch(r"(\d+)_ckpt.pth.tar", file.name)
        if match:
            found.append((int(match[1]), file))
    found.sort(key=lambda item: item[0] or 0)
    for (epoch, file), (other_epoch, other) in itertools.pairwise(found):
        if epoch == other_epoch:
            raise InputError(
                f"{folder} holds two checkpoints of epoch {epoch}, {file.name} and {other.name}; "
                "move one of them away, or name a file"
            )
    chosen_on_test = folder / "ckpt.pth.tar"
    if not found and chosen_on_test.exists():
        found.append((None, chosen_on_test))
    found = found or _numbered(folder)
    if not found:
        raise InputError(
            f"{reference} holds no checkpoint; expected epoch-*.safetensors or *_ckpt.pth.tar, "
            "or name a file"
        )
    return found


def _numbered(folder: Path) -> list[tuple[int | None, Path]]:
    """Return files by the number in their names; none where they are of several kinds."""
    series: dict[tuple[str, str], list[tuple[int | None, Path]]] = {}
    for file in sorted(folder.glob("*")):
        suffix = next((s for s in SUFFIXES if file.name.endswith(s)), None)
        if suffix is None or not file.is_file() or file.name.startswith("."):
            continue
        stem = file.name.removesuffix(suffix)
        match = _NUMBER_OF_EPOCH.search(stem) or re.search(r"(\d+)(?!.*\d)", stem)
        if match:
            place = stem[: match.start(1)], suffix
            series.setdefault(place, []).append((int(match[1]), file))
    several = [files for files in series.values() if len({number for number, _ in files}) > 1]
    return sorted(several[0], key=lambda item: item[0] or 0) if len(several) == 1 else []


def _split_epoch(text: str) -> tuple[str, int | None]:
    # Nine digits: more are no epoch, and past 4,300 Python makes no number of them.
    match = re.fullmatch(r"(.+)@([0-9]{1,9})", text)
    if match and not Path(text).exists():
        return match[1], int(match[2])
    return text, None
