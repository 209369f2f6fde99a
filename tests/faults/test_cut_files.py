"""Files cut at every offset of their last kilobyte: refused, or never read as something else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reader_table import READERS

from spectra.errors import SpectraError

LAST = 1024
# A reader of text takes what is left of a file of lines; these say when something is missing.
_CUT = [
    "checkpoint", "safetensors", "torch-zip", "torch-legacy", "npz", "state", "vectors", "warm",
    "analysis", "results", "theorem", "sam", "images", "recurrences", "best-steps", "outliers",
    "negative-share", "spectrum-json", "spectrum-npz", "spectrum-npy",
]  # fmt: skip


EVERY = [pytest.param(97, id="some"), pytest.param(1, id="all", marks=pytest.mark.faults)]


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("name", _CUT)
def test_a_file_cut_in_its_last_kilobyte_is_refused(name, every, tmp_path):
    reader = READERS[name]
    for content in reader.sound():
        whole = content.rstrip()
        for at in range(max(0, len(whole) - LAST), len(whole), every):
            assert read(reader, tmp_path / reader.file, whole[:at]) is None, at


@pytest.mark.parametrize("every", EVERY)
def test_a_kept_result_cut_in_its_last_kilobyte_is_made_again(every, tmp_path):
    reader = READERS["unit"]
    content = reader.sound()[0]
    for at in range(max(0, len(content) - LAST), len(content), every):
        assert read(reader, tmp_path / reader.file, content[:at]) == {}, at


def read(reader: Any, path: Path, content: bytes) -> Any:
    """Return what a reader makes of a file; None where it refuses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    look: Callable[[Path], Any] = reader.read
    try:
        return look(path)
    except SpectraError:
        return None
