"""What the documents show works: their blocks run as a reader would type them."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

import code_blocks
import pytest
from code_blocks import BlockError, Reader, blocks, check_block, check_command, commands, reading_in

ROOT = Path(__file__).parents[2]
PAGES = code_blocks.pages()
BLOCKS = [block for page in PAGES for block in blocks(page)]
WITH_CODE = [page for page in PAGES if any(block.runs for block in blocks(page))]
TRIED = [page for page in WITH_CODE if page not in code_blocks.DRAWING]
# The README is what most people try: it runs with `make test`, the others with `make test-docs`.
RUN = [
    pytest.param(page, id=page.relative_to(ROOT).as_posix(), marks=marks)
    for page in TRIED
    for marks in [() if page.name == "README.md" else pytest.mark.docs]
]


@pytest.fixture
def reader(tmp_path) -> Iterator[Reader]:
    """Somebody in a folder that holds the stored results and nothing else."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/study").symlink_to(ROOT / "docs/study")
    with reading_in(tmp_path) as reader:
        yield reader


def page_of(text: str) -> list[code_blocks.Block]:
    return blocks(ROOT / "page.md", textwrap.dedent(text))


@pytest.mark.parametrize("page", RUN)
def test_the_blocks_of_a_page_run_one_after_another(page, reader):
    says = False
    for block in blocks(page):
        if block.runs:
            reader.run(block)
        elif says and block.language == "text":
            reader.compare(block)
        says = block.runs and block.file is None


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_compiles_and_its_commands_are_there(block):
    check_block(block)


def test_a_block_that_does_not_run_says_why():
    left_out = {block.place: block.reason for block in BLOCKS if block.is_code and not block.runs}
    assert {place: why for place, why in left_out.items() if len(why.split()) < 3} == {}


def test_three_blocks_of_five_run_at_least():
    code = [block for block in BLOCKS if block.is_code]
    assert sum(block.runs for block in code) >= 0.6 * len(code)


def test_no_command_hides_in_a_block_that_nobody_runs():
    hidden = {block.place: code_blocks.shown_as_text(block) for block in BLOCKS}
    assert {place: lines for place, lines in hidden.items() if lines} == {}


def test_no_block_hides_in_an_indented_part():
    """Where it is indented, as in an admonition, the reading of the blocks would not see it."""
    lines = {page.name: page.read_text("utf-8").splitlines() for page in PAGES}
    indented = {f"{name}:{n}" for name, text in lines.items() for n, line in enumerate(text, 1)
                if line.lstrip().startswith("```") and line.startswith("    ")}  # fmt: skip
    assert indented == set()


def test_blocks_share_their_names_and_their_folder(reader):
    page = page_of("""
        ```python title="net.py"
        size = 3
        ```
        ```python
        from net import size
        ```
        ```text
        not this
        ```
        ```python
        twice = 2 * size
        ```
        """)
    for block in page:
        if block.runs:
            reader.run(block)
    assert Path("net.py").read_text() == "size = 3\n"
    assert reader.names["twice"] == 6


def test_an_error_names_the_page_and_its_line(reader):
    (block,) = page_of("# Title\n\n```python\nx = 1\nnothing\n```\n")
    with pytest.raises(NameError) as error:
        reader.run(block)
    last = error.traceback[-1]
    assert (Path(last.path).name, last.lineno + 1) == ("page.md", 5)


def test_a_block_says_in_a_comment_why_it_does_not_run():
    page = page_of("""
        <!-- not run: needs a GPU -->
        ```sh
        spectra bench --suite gpu
        ```

        ```sh
        spectra doctor
        ```
        """)
    assert [block.reason for block in page] == ["needs a GPU", None]


def test_a_session_shows_commands_after_a_dollar():
    (block,) = page_of("```console\n$ spectra doctor  # a test\nversion 1\n```\n")
    assert list(commands(block)) == ["spectra doctor  # a test"]


def test_a_long_command_goes_on_after_a_backslash():
    (block,) = page_of("```sh\n# a note\nspectra analyze a.pth \\\n  --num-probes 0\n```\n")
    assert list(commands(block)) == ["spectra analyze a.pth --num-probes 0"]


def test_a_command_runs_in_the_same_process(reader):
    (block,) = page_of("```sh\nspectra recipes\n```\n")
    reader.run(block)
    assert "ce-drw-sam" in reader.printed


@pytest.mark.parametrize(
    "line", ["spectra analyze nothing.pth", "make demo", "spectra recipes | head", "rm -rf /"]
)
def test_a_command_that_fails_or_cannot_be_run_is_an_error(reader, line):
    (block,) = page_of(f"```sh\n{line}\n```\n")
    with pytest.raises(BlockError, match=r"page.md:2"):
        reader.run(block)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("spectra nothing", "no command nothing"),
        ("spectra analyze a.pth --nothing 3", "No such option '--nothing'"),
        ("spectra analyze a.pth --loss nothing", "'nothing' is not one of"),
        ("spectra analyze a.pth --num-probes", "requires an argument"),
    ],
)
def test_a_command_that_is_not_there_is_an_error(line, said):
    with pytest.raises(BlockError, match=said):
        check_command(line)


@pytest.mark.parametrize("shown", ["class 8: -0.67\nno more", "class   8: -0.67 ... more"])
def test_output_is_shown_as_it_was_printed_but_for_numbers_and_spaces(reader, shown):
    run, text = page_of(
        f"```python\nprint('class 9:  3e-5\\nno more')\n```\n```text\n{shown}\n```\n"
    )
    reader.run(run)
    reader.compare(text)


def test_output_that_was_not_printed_is_an_error(reader):
    run, text = page_of("```python\nprint('a saddle')\n```\n```text\na minimum\n```\n")
    reader.run(run)
    with pytest.raises(BlockError, match=r"page.md:5 shows\na minimum"):
        reader.compare(text)


def test_a_command_may_leave_out_what_follows():
    check_command("spectra checkpoints list|inspect ...")
