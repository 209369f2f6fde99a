"""The commands of a cluster, as scripts on PATH that run each job's script on this machine.

Known of a job: ``FOLDER/NUMBER_TASK/state``, and ``pid`` of what srun started. While
``FOLDER/hold`` is there jobs wait.
"""

import os
import sys
from pathlib import Path

_SCRIPT = """#!{python} -SE
import os, re, shlex, subprocess, sys, time
from pathlib import Path

HOME = Path({home!r})
ENDED = ("COMPLETED", "FAILED", "OUT_OF_MEMORY")
arguments = sys.argv[1:]


def state_of(job):
    return (job / "state").read_text()


def say(job, state):
    (job / ".state").write_text(state)
    (job / ".state").rename(job / "state")


def sbatch():
    script = Path(arguments[-1])
    with (HOME / "calls").open("a") as calls:
        calls.write(script.read_text() + "\\n")
    number = 100 + sum(1 for _ in HOME.glob("*_0"))
    array = re.search(r"--array=0-(\\d+)", script.read_text())
    count = int(array[1]) + 1 if array else 1
    for k in range(count):
        (HOME / f"{{number}}_{{k}}").mkdir()
        say(HOME / f"{{number}}_{{k}}", "PENDING")
        subprocess.Popen(
            [sys.executable, "-SE", __file__, "--run", str(number), str(k), str(script),
             str(int(bool(array)))],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    print(f"Submitted batch job {{number}}")


def run(number, k, script, in_array):
    job = HOME / f"{{number}}_{{k}}"
    env = dict(os.environ, SLURM_JOB_ID=number, SLURM_NTASKS="1", SLURM_JOB_NUM_NODES="1",
               SLURM_PROCID="0", SLURM_LOCALID="0", SLURM_NODEID="0")
    if in_array == "1":
        env.update(SLURM_ARRAY_JOB_ID=number, SLURM_ARRAY_TASK_ID=k)
    while True:
        while (HOME / "hold").exists():
            time.sleep(0.05)
        say(job, "RUNNING")
        code = subprocess.run(["bash", script], env=env, stdin=subprocess.DEVNULL).returncode
        if (job / "requeue").exists():
            (job / "requeue").unlink()
            say(job, "PENDING")
            continue
        killed = "OUT_OF_MEMORY" if code in (137, -9) else "FAILED"
        say(job, "COMPLETED" if code == 0 else killed)
        return


def srun():
    job = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    name = "_".join(job) if job[0] else os.environ["SLURM_JOB_ID"]
    there = HOME / (name if "_" in name else f"{{name}}_0")
    given, rest = {{}}, list(arguments)
    while rest[0].startswith("--"):
        key, equals, value = rest.pop(0).partition("=")
        given[key] = value if equals or key == "--unbuffered" else rest.pop(0)
    for key, number in (("--output", 1), ("--error", 2)):
        path = given[key].replace("%A_%a", name).replace("%j", name).replace("%t", "0")
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
    (there / "pid").write_text(str(os.getpid()))
    os.environ["CPUS"] = given["--cpus-per-task"]
    os.execvp(rest[0], rest)


def named(number):
    return number if "_" in number else f"{{number}}_0"


jobs = sorted(path for path in HOME.glob("*_*") if (path / "state").exists())
shown = {{
    job: job.name if (HOME / f"{{job.name.partition('_')[0]}}_1").exists() else job.name[:-2]
    for job in jobs
}}
command = Path(sys.argv[0]).name
if arguments[:1] == ["--run"]:
    run(*arguments[1:])
elif command == "sbatch":
    sbatch()
elif command == "srun":
    srun()
elif command == "squeue":
    if (HOME / "silent").exists():
        sys.exit("slurm_load_jobs error: Unable to contact slurm controller")
    print(*(shown[job] for job in jobs if state_of(job) not in ENDED), sep="\\n")
elif command == "sacct":
    print(*(state_of(job) for job in jobs if f"-j{{shown[job]}}" in arguments), sep="\\n")
elif command == "scontrol":
    (HOME / named(arguments[1]) / "requeue").touch()
else:
    sys.exit(f"no {{command}} here")
"""


class FakeSlurm:
    """A cluster of one machine, below a folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.commands = home / "bin"
        self.commands.mkdir(parents=True)
        text = _SCRIPT.format(python=sys.executable, home=str(home))
        for name in ("sbatch", "srun", "squeue", "sacct", "scontrol"):
            path = self.commands / name
            path.write_text(text)
            path.chmod(0o755)

    @property
    def path(self) -> str:
        """PATH with its commands first."""
        return f"{self.commands}{os.pathsep}{os.environ['PATH']}"

    @property
    def scripts(self) -> list[str]:
        """The scripts that sbatch was given, in order."""
        calls = self.home / "calls"
        return calls.read_text().split("#!/bin/bash")[1:] if calls.exists() else []

    def state(self, job: str) -> str:
        return (self.home / job / "state").read_text()

    def pid(self, job: str) -> int:
        return int((self.home / job / "pid").read_text())
