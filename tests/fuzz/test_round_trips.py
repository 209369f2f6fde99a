"""What is written is read back as it was, whatever names and numbers it holds."""

import json

import pytest
from guarded import guarded
from hypothesis import given
from hypothesis import strategies as st
from reader_table import READERS
from valid_files import native_weights

from checkpoints import Architecture, Checkpoint
from checkpoints.formats.native import load_native, save_native
from spectra import load_analysis, save_analysis
from spectra.results.study_result import load_study_result, save_study_result

_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(
    name=_NAMES,
    epoch=st.none() | st.integers(0, 10**6),
    counts=st.lists(st.integers(1, 10**9), min_size=3, max_size=3),
    metrics=st.dictionaries(_NAMES, _NUMBERS, max_size=3),
    notes=st.lists(_NAMES, max_size=3),
)
def test_a_checkpoint_is_read_as_it_was_written(scratch, name, epoch, counts, metrics, notes):
    written = Checkpoint(
        name=name,
        state=native_weights(),
        architecture=Architecture("digits-resnet", 3, 1, 4),
        epoch=epoch,
        class_counts=tuple(counts),
        metrics=metrics,
        notes=tuple(notes),
    )
    path, again = scratch / "net.safetensors", scratch / "again.safetensors"
    save_native(path, written)
    read = load_native(path)
    assert (read.name, read.epoch, read.class_counts) == (name, epoch, tuple(counts))
    assert (dict(read.metrics), read.notes) == (metrics, tuple(notes))
    save_native(again, read)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "load", "save"),
    [
        ("analysis", load_analysis, save_analysis),
        ("results", load_study_result, save_study_result),
    ],
)
def test_a_result_that_was_read_is_written_and_read_again_as_it_was(name, load, save, scratch):
    for number, content in enumerate(READERS[name].sound()):
        path, again, third = (scratch / f"{number}-{k}.json" for k in "abc")
        path.write_bytes(content)
        with guarded():
            found = load(path)
        save(again, found)
        save(third, load(again))
        assert third.read_bytes() == again.read_bytes()
        assert json.loads(again.read_bytes())["format"] == json.loads(content)["format"]
