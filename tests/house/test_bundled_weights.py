"""Bundled weights: small enough to be carried by everybody, and there where they are named."""

import re
from pathlib import Path

import pytest

from checkpoints.bundled_files import bundled_runs

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "checkpoints" / "bundled"
NAMED = re.compile(r"bundled:((?:digits|cifar10-lt)/[a-z0-9-]+)(?:@(\d+))?")
# Not the changelog, which names what was taken out.
DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
CODE = (path for room in ("cli", "checkpoints") for path in (ROOT / room).rglob("*.py"))


def test_all_bundled_weights_together_are_less_than_14_megabytes():
    assert sum(path.stat().st_size for path in BUNDLE.rglob("*.safetensors")) < 14e6


@pytest.mark.parametrize("files", [DOCUMENTS, tuple(CODE)], ids=["documents", "code"])
def test_bundled_weights_that_a_command_names_are_there(files):
    runs = bundled_runs()
    named = [found for path in files for found in NAMED.findall(path.read_text("utf-8"))]
    assert named
    missing = [
        (name, epoch)
        for name, epoch in named
        if name not in runs or (epoch and int(epoch) not in runs[name])
    ]
    assert missing == []
