"""The changes that CONTRIBUTING.md shows are of two files and a test, and work."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIFFS = re.findall(r"```diff\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL)


def touched(diff: str) -> list[str]:
    return re.findall(r"^\+\+\+ b/(\S+)$", diff, re.MULTILINE)


@pytest.mark.parametrize("diff", DIFFS, ids=lambda diff: touched(diff)[0])
def test_a_change_touches_two_files_at_most_and_a_test(diff):
    tests = [path for path in touched(diff) if path.startswith("tests/")]
    assert len(tests) == 1
    assert len(touched(diff)) - len(tests) <= 2


def test_an_optimizer_a_loss_a_figure_and_an_engine_are_shown_and_pass_their_tests(tmp_path):
    assert len(DIFFS) == 4
    for package in ("spectra", "checkpoints", "figures", "cli", "tests"):
        leave = shutil.ignore_patterns("bundled", "__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=leave)
    for name in ("pyproject.toml", "setup.cfg"):
        shutil.copy(ROOT / name, tmp_path)
    for diff in DIFFS:
        subprocess.run(["git", "apply", "-"], input=diff, text=True, cwd=tmp_path, check=True)
    tests = [path for diff in DIFFS for path in touched(diff) if path.startswith("tests/")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *tests],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
