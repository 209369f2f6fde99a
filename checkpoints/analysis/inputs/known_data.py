"""What a checkpoint says of the data that it was trained on."""

import shlex
from dataclasses import dataclass

from checkpoints.checkpoint import Checkpoint
from checkpoints.data.photos.named_lists import LIST, PUBLISHED
from checkpoints.data.sources import WITHOUT_PLACE, data_folder
from spectra.errors import InputError
from spectra.results.plain import from_plain
from spectra.system.files.names import file_name


@dataclass(frozen=True)
class KnownData:
    """What a checkpoint says of the images that it was trained on."""

    source: str
    name: str | None = None
    test_name: str | None = None
    profile: str | None = None
    imbalance_factor: float | None = None
    n_max: int | None = None
    selection_seed: int = 0
    size: int | None = None
    digest: str | None = None

    def found_at(self, checkpoint: str) -> str:
        """Return the source as a request names it: no place that the user has not named.

        Raises:
            InputError: files or code that are not looked for because a checkpoint names them.
        """
        if self.source in WITHOUT_PLACE:
            return self.source
        files = [f"{name}.npz" for name in (self.name, self.test_name) if name]
        folder = data_folder()
        if self.source == "npz" and folder is not None:
            plain = all(file_name(file) == file and "," not in file for file in files)
            if files and plain and all((folder / file).is_file() for file in files):
                return "npz:" + ",".join(str(folder / file) for file in files)
        fetch = "; 'spectra data fetch cifar10' downloads the original"
        size = "" if self.size is None else f",{self.size}"
        hints = {
            "npz": f"npz:{','.join(files)}",
            "folder": f"folder:FOLDER/{self.name}",
            LIST: f"list:{self.name}.txt,TEST.txt,ROOT{size}",
            **{kind: f"{kind}:DIR{size}" for kind in PUBLISHED},
        }
        raise InputError(
            f"{checkpoint} says that it was trained on {self.source} {self.name}, and neither "
            "files, folders nor code are taken because a file names them; give it yourself, such "
            f"as --data {shlex.quote(str(hints.get(self.source, self.name)))}"
            f"{fetch if str(self.name).startswith('cifar10-') else ''}"
        )


def known_data(checkpoint: Checkpoint) -> KnownData | None:
    """Return what a checkpoint says of the images that it was trained on; None: nothing."""
    if checkpoint.data is None:
        return None
    return from_plain(checkpoint.data, KnownData, origin=checkpoint.name, at="data")
