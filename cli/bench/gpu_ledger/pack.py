"""What is sent: results and weights in a few files that travel anywhere."""

import io
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from cli.bench.gpu_ledger.results import RESULTS
from spectra.system.files.writing import write_atomically

SENT = "send"
# Ours: what mail and most trackers take.
MAX_FILES, MAX_BYTES = 8, 16 * 2**20
# Ours: for the archive's own directory, far more than its names take.
MARGIN = 64 * 2**10


@dataclass(frozen=True)
class Packed:
    """What lies in the folder that is sent.

    Attributes:
        files: the result file, then the archives.
        left_out: what did not fit, least wanted last.
    """

    files: tuple[Path, ...]
    left_out: tuple[str, ...]


def pack(folder: Path, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> Packed:
    """Put results, weights and analyses of a run into ``folder/send``, anew.

    One JSON file, and zip archives of whole files, none larger than ``max_bytes``. First come the
    last weights of each training, then the states that it can go on from, then the other weights
    from the last to the first, then everything else.

    Args:
        folder: of the run.
        max_files: archives and the result file together.
        max_bytes: of each.
    """
    target = folder / SENT
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    files = []
    if (folder / RESULTS).exists():
        files.append(Path(shutil.copy(folder / RESULTS, target / RESULTS)))
    archives: list[list[tuple[str, bytes]]] = []
    sizes: list[int] = []
    left_out = []
    for path in _wanted(folder):
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        size = len(_zipped([(name, content)]))  # compressed, each as large as in the whole
        place = next((k for k, s in enumerate(sizes) if s + size <= max_bytes - MARGIN), None)
        if place is None and size <= max_bytes - MARGIN and len(archives) < max_files - 1:
            archives.append([])
            sizes.append(0)
            place = len(archives) - 1
        if place is None:
            left_out.append(name)
            continue
        archives[place].append((name, content))
        sizes[place] += size
    for k, members in enumerate(archives):
        files.append(target / f"weights-{k + 1}.zip")
        write_atomically(files[-1], _zipped(members))
    return Packed(tuple(files), tuple(left_out))


def _wanted(folder: Path) -> list[Path]:
    """Return the files of a run in the order in which they are wanted."""
    runs = sorted(folder.glob("runs/*"))
    weights = [sorted(run.glob("checkpoints/*.safetensors"), reverse=True) for run in runs]
    first = [found[0] for found in weights if found]
    states = [run / "resume.safetensors" for run in runs if (run / "resume.safetensors").exists()]
    others = [path for found in weights for path in found[1:]]
    small = [
        path
        for pattern in ("steps/*.json", "runs/*/*.json*", "densities/*.json", "networks/**/*.json")
        for path in sorted(folder.glob(pattern))
    ]
    return [*first, *states, *others, *small]


def _zipped(members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
