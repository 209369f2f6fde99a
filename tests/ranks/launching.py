"""Start several processes with ``torchrun``, and what they printed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone"]


def environment(**changes: str) -> dict[str, str]:
    """Return what processes are started with: one thread each, and the code of this folder."""
    kept = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    rooms = (".", "tests", "tests/ranks", "tests/training")
    paths = os.pathsep.join(str(_ROOT / room) for room in rooms)
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, **changes}


def torchrun(
    size: int, *command: str, timeout: float = 60, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``command``, a script or ``-m`` and a module, in ``size`` ranks on this machine."""
    process = subprocess.Popen(
        [*LAUNCHER, "--nproc-per-node", str(size), *command],
        env=environment(),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
