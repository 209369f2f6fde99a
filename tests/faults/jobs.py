"""The commands that faults are tried on, what each writes, and what must be as it was."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from checkpoints.training.resume import load_history

STUDY = """
name = "small"
[data]
source = "digits"
n_max = 12
imbalance_factor = 0.2
[train]
recipes = ["ce-drw"]
seeds = [0]
epochs = 3
keep_epochs = [1, 3]
batch_size = 16
[analyze]
classes = "9,tail"
num_probes = 1
num_steps = 4
max_steps = 6
[trajectory]
classes = "9"
"""
OUT = "out"
TRAINED, ANALYZED = "{train}", "{analyze}"


@dataclass(frozen=True)
class Job:
    """A command.

    Attributes:
        name: its name.
        arguments: of ``spectra``; ``{train}`` stands for the folder that the job ``train`` wrote.
        again: arguments that are added to go on after a fault.
        write_points: at least as many as it has, see :mod:`injected`; counted by a test.
    """

    name: str
    arguments: tuple[str, ...]
    write_points: int
    again: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The jobs whose results it reads."""
        return tuple(n for n in ("train", "analyze") if f"{{{n}}}" in " ".join(self.arguments))

    def command(self, wholes: dict[str, Path], *, again: bool = False) -> list[str]:
        """Return the arguments; ``wholes`` are folders of undisturbed jobs."""
        given = [argument.format(**wholes) for argument in self.arguments]
        return [*given, "-o", OUT, *(self.again if again else ())]


_THREE_EPOCHS = ("--epochs", "3", "--keep", "1,3", "--set", "batch_size=16")
_SMALL = ("--num-steps", "4", "--max-steps", "6")
JOBS = {
    job.name: job
    for job in (
        Job(
            "train",
            ("train", "ce-drw", "--n-max", "12", "--imbalance-factor", "0.2", *_THREE_EPOCHS),
            60,
            ("--resume",),
        ),
        Job(
            "analyze",
            ("analyze", TRAINED, "--classes", "8,9", "--num-probes", "1", *_SMALL, "--no-figures"),
            60,
        ),
        Job("trajectory", ("trajectory", TRAINED, "--classes", "9", *_SMALL), 80),
        Job("plot", ("plot", f"{ANALYZED}/analysis.json", "--format", "png"), 20),
        Job("study", ("pipeline", "study.toml"), 160),
    )
}


def prepare(folder: Path) -> Path:
    """Make the folder that a job is run in."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text(STUDY)
    return folder


def written(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that is there for good, by its path below ``folder``."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not is_passing(path)
    }


def is_passing(path: Path) -> bool:
    """Whether a killed process may leave a file behind: a lock, what was not renamed yet."""
    return path.name.startswith(".") or path.parent.name == "warm"


def grows(path: str) -> bool:
    """Whether a file changes while its job goes on."""
    return path.endswith(("resume.safetensors", "report.html"))


def finished_units(folder: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of change of each result that is never to be made again."""
    units = {path for path in folder.rglob("*.json") if "units" in path.parts}
    for state in folder.rglob("resume.safetensors"):
        done = len(load_history(state))
        kept = (state.parent / "checkpoints").glob("epoch-*.safetensors")
        units |= {path for path in kept if int(path.stem.partition("-")[2]) <= done}
    found = {path.relative_to(folder).as_posix(): path.stat() for path in units}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}
