"""Flags of how the steps of a study are handed to a cluster."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from checkpoints import choices
from cli.options.flags import CLUSTER, Flag, bundle
from cli.options.values import Folder
from spectra.errors import InputError

if TYPE_CHECKING:
    from checkpoints.studies.launchers.launcher import Launcher


def _launcher(
    name: str | None,
    hours: float | None,
    gpus: int | None,
    cpus: int | None,
    memory_gib: float | None,
    partition: str | None,
    account: str | None,
    logs: Path | None,
    parameters: Sequence[str],
) -> "Launcher | None":
    """Return the launcher; None where none is named."""
    of_any: dict[str, Any] = {"hours": hours, "gpus": gpus, "logs": logs}
    of_slurm: dict[str, Any] = {
        "cpus": cpus,
        "memory_gib": memory_gib,
        "partition": partition,
        "account": account,
        "parameters": dict(map(_parameter, parameters)) or None,
    }
    given = {key: value for key, value in of_any.items() if value is not None}
    of_cluster = {key: value for key, value in of_slurm.items() if value is not None}
    if name is None and (given or of_cluster):
        raise InputError("the options of a cluster need --launcher slurm or --launcher local")
    if name != "slurm" and of_cluster:
        raise InputError("cores, memory, partition, account and --slurm are of --launcher slurm")
    if name is None:
        return None
    from checkpoints.studies.launchers.launcher import Launcher

    return Launcher(name, **given, **of_cluster)


def _parameter(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key.strip(), value.strip()


# The command gets ``launcher``, a Launcher or None.
launcher = bundle(
    "launcher",
    _launcher,
    Flag(
        "--launcher",
        "name",
        heading=CLUSTER,
        type=click.Choice(choices.LAUNCHERS),
        help="Hand every step out as a job: slurm, of that cluster; local, a process here. Needs "
        "pip install hessian-spectra[cluster].",
    ),
    Flag("--partition", heading=CLUSTER, help="Of the cluster. [its default]"),
    Flag("--account", heading=CLUSTER, help="That jobs are charged to. [the user's default]"),
    Flag(
        "--hours",
        heading=CLUSTER,
        type=float,
        help="Of one job; a training that takes longer goes on in the next. [12]",
    ),
    Flag(
        "--gpus",
        heading=CLUSTER,
        type=click.IntRange(min=0),
        help="Of one job. [1 with --device cuda, else none]",
    ),
    Flag(
        "--cpus", heading=CLUSTER, type=click.IntRange(min=1), help="Cores of one job of Slurm. [4]"
    ),
    Flag(
        "--job-memory",
        "memory_gib",
        heading=CLUSTER,
        type=float,
        help="GiB of one job of Slurm. [16]",
    ),
    Flag(
        "--logs",
        heading=CLUSTER,
        type=Folder(),
        help="Folder for logs that all machines see. [jobs/logs in that of the results]",
    ),
    Flag(
        "--slurm",
        "parameters",
        heading=CLUSTER,
        metavar="KEY[=VALUE]",
        multiple=True,
        help="A further option of sbatch, such as qos=high or exclusive; may be given several "
        "times.",
    ),
)
