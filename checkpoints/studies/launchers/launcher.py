"""What hands the steps of a study out, and what each of its jobs may take."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from checkpoints.choices import LAUNCHERS
from spectra.errors import InputError
from spectra.system.foreign_text import printable

_KEY = re.compile(r"[a-z][a-z-]*")


@dataclass(frozen=True)
class Launcher:
    """How the steps of a study become jobs, and what one job may take.

    Attributes:
        name: ``slurm``: jobs of that cluster; ``local``: processes on this machine, as a
            rehearsal, or to use several GPUs of one machine.
        at_once: jobs at a time; with Slurm of one array. None: 256 with Slurm, as submitit has it,
            and one on this machine.
        hours: after which a job is stopped; a training then goes on in the same job, put into the
            queue again. Ours: a ResNet-32 of the paper takes less on a GPU and on four cores.
        gpus: of each job. None: one where the device is ``cuda``, else none.
        cpus: cores of each job of a cluster, and the threads that torch uses there. Ours: of
            small networks more cores gain little.
        memory_gib: of each job of a cluster. Ours: 4 for what an analysis keeps by default on a
            large machine, and room for images and libraries.
        partition: of the cluster; None: its default.
        account: that jobs are charged to; None: the user's default.
        logs: folder for the jobs' logs, seen by all machines; None: ``jobs/logs`` of the study's.
        parameters: further options of ``sbatch`` by name, without the leading dashes; an empty
            value stands for an option that takes none.
    """

    name: str
    at_once: int | None = None
    hours: float = 12.0
    gpus: int | None = None
    cpus: int = 4
    memory_gib: float = 16.0
    partition: str | None = None
    account: str | None = None
    logs: Path | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in LAUNCHERS:
            raise InputError(f"launcher must be one of {', '.join(LAUNCHERS)}, got {self.name!r}")
        for what, value, least in (
            ("jobs at once", self.at_once, 1),
            ("gpus", self.gpus, 0),
            ("cpus", self.cpus, 1),
        ):
            if value is not None and value < least:
                raise InputError(f"{what} must be at least {least}, got {value}")
        # Ours: a minute is the shortest time that Slurm knows, a year longer than any cluster's.
        if not 1 / 60 <= self.hours <= 8760:
            raise InputError(f"hours must be in 1/60..8760, got {self.hours}")
        if not 0.1 <= self.memory_gib <= 1e6:
            raise InputError(f"memory of a job must be in 0.1..1e6 GiB, got {self.memory_gib}")
        for text in (self.partition, self.account, *self.parameters.values()):
            if text is not None and printable(text) != text:
                raise InputError(f"an option of sbatch must be one line of text, got {text!r}")
        for key in self.parameters:
            if not _KEY.fullmatch(key):
                raise InputError(
                    f"an option of sbatch reads like qos or mail-type, without dashes before it; "
                    f"got {key!r}"
                )

    def gpus_for(self, device: str) -> int:
        """Return the GPUs of each job that computes on ``device``."""
        if self.gpus is not None:
            return self.gpus
        return int(device.startswith("cuda"))
