"""What a time depends on beside the code: the machine and the libraries."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from spectra.classes.identity import library_versions


@dataclass(frozen=True)
class MachineFacts:
    """One machine and what is installed on it.

    Attributes:
        cpu: name of the processor.
        cores: logical ones; None: not known.
        threads: of torch.
        device: torch device that computes.
        gpu: its name; None: it is none.
        torch: version.
        versions: of this package and of the libraries that it is compared with; None: not there.
    """

    cpu: str
    cores: int | None
    threads: int
    device: str
    gpu: str | None
    torch: str
    versions: Mapping[str, str | None]


def machine_facts(device: str, packages: Mapping[str, str]) -> MachineFacts:
    """Return what this machine is.

    Args:
        device: torch device that computes.
        packages: what other libraries are called in tables, and their distributions' names.
    """
    versions: dict[str, str | None] = {}
    for name, package in packages.items():
        try:
            versions[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    known = library_versions()
    return MachineFacts(
        cpu=_processor(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        device=device,
        gpu=torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        torch=known["torch"],
        versions={"hessian-spectra": known["hessian-spectra"], **versions},
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
