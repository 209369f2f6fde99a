"""Jobs on a cluster that Slurm rules, through submitit."""

import contextlib
import getpass
import io
import subprocess
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from checkpoints.studies.launchers.job_queue import imported_submitit
from checkpoints.studies.launchers.launcher import Launcher
from spectra.errors import InputError, first_line
from spectra.system.foreign_text import short_words

# Ours: a training that needs twenty times the hours of a job is better given more hours.
_MOST_TIMEOUTS = 20
# Ours: seconds in which a job that is stopped finishes what it writes; an epoch it does not wait
# for. Between two epochs on a slow disk a state takes a second.
_NOTICE = 120
# Slurm's MaxArraySize where nobody has set it, 1001, bounds the last index.
_LARGEST_ARRAY = 1000
# Ours: seconds that squeue and sacct may take to answer on a busy cluster.
_ANSWER = 60


class SlurmQueue:
    """Slurm's queue: each call hands out one array of jobs."""

    name = "slurm"
    at_once: int | None = None
    # Ours: administrators ask for no more than two questions a minute.
    look = 30.0
    # Ours: clients of NFS may take a minute to see that a folder has changed (nfs(5): acdirmax).
    patience = 90.0

    def __init__(self, launcher: Launcher, logs: Path, *, title: str, device: str) -> None:
        submitit = imported_submitit()
        self._logs = logs
        try:
            self._executor = submitit.SlurmExecutor(logs, max_num_timeout=_MOST_TIMEOUTS)
        except RuntimeError as error:
            raise InputError(
                "there is no Slurm here: srun is not on PATH; give the command on a machine of the "
                "cluster, or take --launcher local"
            ) from error
        self._job = submitit.SlurmJob
        gpus = launcher.gpus_for(device)
        self._executor.update_parameters(
            job_name=f"spectra-{title}",
            time=max(1, round(launcher.hours * 60)),
            cpus_per_task=launcher.cpus,
            mem=f"{round(launcher.memory_gib * 1024)}M",
            array_parallelism=launcher.at_once or 256,
            signal_delay_s=_NOTICE,
            # srun has taken no number of cores over from sbatch since Slurm 22.05.
            srun_args=[f"--cpus-per-task={launcher.cpus}"],
            setup=[f"export OMP_NUM_THREADS={launcher.cpus}"],
            # A job that loses its machine goes back into the queue.
            additional_parameters={
                "requeue": True,
                **{key: value or True for key, value in launcher.parameters.items()},
            },
            **({"gpus_per_node": gpus} if gpus else {}),
            **({"partition": launcher.partition} if launcher.partition else {}),
            **({"account": launcher.account} if launcher.account else {}),
        )

    def submit(self, tasks: Sequence[Callable[[], None]]) -> list[str]:
        """Hand out ``tasks`` as one array, or as several where Slurm takes no array so large."""
        numbers: list[str] = []
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # submitit prints what sbatch says
                for first in range(0, len(tasks), _LARGEST_ARRAY):
                    array = list(tasks[first : first + _LARGEST_ARRAY])
                    numbers += [job.job_id for job in self._executor.submit_array(array)]
                return numbers
        except (RuntimeError, OSError) as error:  # its own are RuntimeErrors
            said = short_words(first_line(error))
            raise InputError(f"sbatch has taken no jobs: {said}") from error

    def alive(self, jobs: Collection[str]) -> set[str]:
        """Return which of ``jobs`` squeue lists among the user's."""
        listed = _answer(
            "squeue", "--noheader", "--array", "--format=%i", f"--user={getpass.getuser()}"
        )
        return set(listed.split()) & set(jobs)

    def log(self, job: str) -> Path:
        """Return the file of what a job says."""
        return Path(self._job(self._logs, job).paths.stderr)

    def state(self, job: str) -> str:
        """Return the state that sacct knows; empty where the cluster keeps no accounts."""
        try:
            known = _answer(
                "sacct", "--noheader", "--parsable2", "--allocations", "--format=State", f"-j{job}"
            )
        except InputError:
            return ""
        return short_words(known.strip().partition("\n")[0])

    def leave(self, jobs: Collection[str]) -> str:
        """Say how to end the jobs, which go on."""
        arrays = sorted({job.partition("_")[0] for job in jobs}, key=int)
        return (
            f"{len(jobs)} jobs wait or run on in Slurm's queue; the same command takes up with "
            f"them, and 'scancel {' '.join(arrays)}' ends them"
        )

    def close(self) -> None:
        """Do nothing: all is Slurm's."""


def _answer(program: str, *options: str) -> str:
    """Return what a command of Slurm prints.

    Raises:
        InputError: it fails, is not there, or takes too long.
    """
    try:
        done = subprocess.run(
            [program, *options], capture_output=True, text=True, check=True, timeout=_ANSWER
        )
    except subprocess.CalledProcessError as error:
        said = short_words(error.stderr.strip().partition("\n")[0])
        raise InputError(f"{program} does not say which jobs run: {said}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{program} does not say which jobs run: {first_line(error)}") from error
    return done.stdout
