"""The toolkit on a GPU: a pretended one, or the one that is here.

The scenario (``pretended_gpu/``) runs once, in a process of its own; each test is one claim about
what it found. A pretended card refuses what CUDA refuses and counts launches and synchronisations;
on a machine with a real one the same scenario runs there, and what is counted is skipped.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from card_limits import ROUNDING
from filelock import FileLock
from pretended_gpu.build import compile_card

TIMEOUT = 600  # of a machine that does other things as well
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def scenario(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the scenario found; the first worker that asks runs it, the others read what it left."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(pytestconfig, "workerinput"):  # pytest-xdist gives each worker a folder in this one
        folder = folder.parent
    output = folder / "pretended-gpu.json"
    with FileLock(folder / "pretended-gpu.lock"):
        if not output.exists():
            run_scenario(output, pytestconfig)
    return json.loads(output.read_text())


def run_scenario(output: Path, pytestconfig: pytest.Config) -> None:
    """Let the scenario write what it finds to ``output``; see ``pretended_gpu/scenario.py``."""
    if torch.cuda.is_available():
        where = ["--real"]
    elif torch.version.cuda is not None or torch.version.hip is not None:
        pytest.skip("this torch is built for a GPU, of which there is none: nothing to pretend on")
    elif shutil.which("g++") is None:
        pytest.skip("g++ is not installed, which compiles the pretended GPU")
    else:
        cache = getattr(pytestconfig, "cache", None)
        folder = cache.mkdir("pretended-gpu") if cache else output.parent
        where = ["--library", str(compile_card(folder))]
    paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    run = subprocess.run(
        [sys.executable, "-m", "pretended_gpu.scenario", *where, "-o", str(output)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "Agg",
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert output.exists(), run.stderr[-3000:]


@pytest.fixture
def facts(scenario):
    """Return what a part found, once it is clear that it ran to its end."""

    def of(part: str) -> dict:
        found = scenario["parts"][part]
        assert not found["error"], found["error"]
        return found["facts"]

    return of


@pytest.fixture
def rounding(scenario) -> float:
    return ROUNDING[scenario["counted"]]


@pytest.fixture
def counted(scenario) -> None:
    if not scenario["counted"]:
        pytest.skip("a real GPU runs the scenario, where nothing is counted")
