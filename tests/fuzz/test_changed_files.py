"""Whatever a file holds: the reader gives what it says, or refuses it in words."""

import functools

import pytest
from guarded import attempt
from hypothesis import given
from hypothesis import strategies as st
from mutations import changed
from reader_table import READERS

# Their first content is to be refused: torch writes neither tar files nor plain pickles.
_REFUSED = {"torch-tar", "pickle"}


@functools.cache
def sound(name: str) -> list[bytes]:
    return READERS[name].sound()


@pytest.mark.parametrize("name", [name for name in READERS if name not in _REFUSED])
def test_a_sound_file_is_read(name, scratch):
    for content in sound(name):
        assert attempt(READERS[name], content, scratch / name) is not None


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_a_changed_file_is_read_or_refused(name, scratch, data):
    content = data.draw(changed(READERS[name].form, sound(name)))
    attempt(READERS[name], content, scratch / name)
