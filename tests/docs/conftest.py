from typing import Any

import code_blocks


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    """After ``make test-docs``: how many blocks ran, and which ones did not, and why."""
    if config.option.markexpr != "docs":
        return
    code = [one for page in code_blocks.pages() for one in code_blocks.blocks(page) if one.is_code]
    left_out = [block for block in code if not block.runs]
    terminalreporter.section("code blocks of the documents")
    terminalreporter.write_line(f"{len(code) - len(left_out)} run, {len(left_out)} do not:")
    for block in left_out:
        terminalreporter.write_line(f"  {block.place}  {block.reason}")
