"""What a time depends on beside the code: the machine and the libraries."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

from checkpoints.analysis.analyze import library_versions
from cli.bench.comparison.peers import PEERS


def machine_facts(device: str) -> dict[str, Any]:
    """Return processor, cores, threads, torch, and the peers' versions; None: not installed."""
    versions: dict[str, str | None] = {}
    for peer in PEERS:
        try:
            versions[peer.name] = importlib.metadata.version(peer.package)
        except importlib.metadata.PackageNotFoundError:
            versions[peer.name] = None
    known = library_versions()
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device,
        "gpu": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "torch": known["torch"],
        "versions": {"hessian-spectra": known["hessian-spectra"], **versions},
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
