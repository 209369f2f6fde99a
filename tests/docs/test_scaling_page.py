"""The page that works out what nobody has run: its numbers are those that its code prints."""

import contextlib
import io
from pathlib import Path

import code_blocks

PAGE = Path(__file__).parents[2] / "docs/reference/scaling.md"


def test_every_number_in_a_box_is_what_the_code_above_it_prints():
    names: dict[str, object] = {}
    printed, compared = None, 0
    for block in code_blocks.blocks(PAGE):
        if block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block.code, block.place, "exec"), names)
            printed = out.getvalue()
        elif block.language == "text" and printed is not None:
            assert block.code == printed, block.place
            printed, compared = None, compared + 1
    assert compared >= 3
