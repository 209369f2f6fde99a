"""What is wrong with a machine or an installation, and how to mend it."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

# Ours: results of a study take some 100 MB.
_LEAST_DISK = 500 * 10**6


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong, or slower than it has to be.

    Attributes:
        what: it is, in a sentence.
        mend: what to do about it, in a sentence.
    """

    what: str
    mend: str


def troubles_here(versions: Mapping[str, str | None]) -> list[Trouble]:
    """Return what is wrong with this machine and what is installed on it.

    Args:
        versions: of the packages that are needed; None: not installed.
    """
    found = [
        Trouble(f"{name} is not installed", f"pip install {name}")
        for name, version in versions.items()
        if version is None
    ]
    found += [trouble for trouble in (_card(), _threads(), _disk()) if trouble is not None]
    return found


def _card() -> Trouble | None:
    """Return why a graphics card that is here is not used."""
    if torch.cuda.is_available() or not card_is_here():
        return None
    what = "this machine has an NVIDIA card, and torch does not use it"
    if torch.version.cuda is None:
        return Trouble(
            f"{what}: torch {torch.__version__} is a build for the CPU alone",
            "install the build with CUDA: pip install --force-reinstall torch",
        )
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return Trouble(
            f"{what}: CUDA_VISIBLE_DEVICES is {os.environ['CUDA_VISIBLE_DEVICES']!r}",
            "unset it, or give it the number of a card that nvidia-smi lists",
        )
    return Trouble(
        f"{what}: this torch needs a driver for CUDA {torch.version.cuda}",
        "update the driver; nvidia-smi says which CUDA the installed one is for",
    )


def card_is_here() -> bool:
    """Say whether this machine has an NVIDIA card, whatever torch makes of it."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or shutil.which("nvidia-smi") is not None


def _threads() -> Trouble | None:
    """Return why torch computes with fewer threads than there are cores."""
    asked, cores = os.environ.get("OMP_NUM_THREADS"), usable_cores()
    if asked is None or torch.get_num_threads() >= cores:
        return None
    return Trouble(
        f"torch computes with {torch.get_num_threads()} of {cores} cores: OMP_NUM_THREADS is "
        f"{asked!r}",
        "unset OMP_NUM_THREADS, unless the other cores are somebody else's",
    )


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _disk() -> Trouble | None:
    free = shutil.disk_usage(".").free
    if free >= _LEAST_DISK:
        return None
    return Trouble(
        f"{free / 1e6:.0f} MB are free on the disk of this folder",
        "make room, or write elsewhere with -o: the results of a study take some 100 MB",
    )
