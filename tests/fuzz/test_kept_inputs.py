"""What broke a reader once breaks none again: the inputs that fuzzing found."""

import pytest
from guarded import attempt
from reader_table import READERS
from valid_files import CORPUS

KEPT = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name[:12]}")
def test_an_input_that_was_found_is_read_or_refused(path, scratch):
    attempt(READERS[path.parent.name], path.read_bytes(), scratch / "kept")


def test_what_was_found_is_small():
    assert sum(path.stat().st_size for path in KEPT) <= 100_000
