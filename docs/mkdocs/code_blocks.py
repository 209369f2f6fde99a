"""The code blocks of the documents: read here, and run as a reader would run them.

markdown-it-py reads the Markdown. Running is ours: the libraries that run Markdown blocks know
Python and a shell, each on its own, while these pages go to and fro between Python, files and
``spectra`` commands, which take two seconds each to start outside this process.
"""

import contextlib
import io
import re
import runpy
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import matplotlib.pyplot as plt
from click.testing import CliRunner
from markdown_it import MarkdownIt

from cli.main import cli

ROOT = Path(__file__).parents[2]
# Stored results of the studies, and the templates of their pages, are no pages themselves.
APART = ROOT / "docs/study"
# Pages whose code writes what they show, into the folder of their name: the build of the site runs
# them, and the tests need not do it again.
DRAWING = (ROOT / "docs/gallery.md",)

NOT_RUN = re.compile(r"<!-- not run: (.+?) -->", re.DOTALL)
TITLE = re.compile(r'title="([\w./-]+)"')
SHELL = ("sh", "bash", "shell", "console")
# Numbers differ from machine to machine in their last digits, and rules in their lengths.
VARYING = re.compile(r"[-−+]?\d[\d,.]*(?:e[-+]?\d+)?|─+")
COMMANDS = ("spectra ", "make ", "pip ", "python ", "git ", "$ ")


class BlockError(AssertionError):
    """What a block does is not what its page says."""


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Attributes:
        page: the file that it is in.
        line: of its first line of code, from 1.
        language: the first word after the fence; empty where there is none.
        file: where the block is to be written, instead of run; None: it is run.
        code: its text.
        reason: why it is not run; None: it is run.
    """

    page: Path
    line: int
    language: str
    file: str | None
    code: str
    reason: str | None

    @property
    def place(self) -> str:
        """Return file and line."""
        page = self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page
        return f"{page.as_posix()}:{self.line}"

    @property
    def is_code(self) -> bool:
        """Return whether there is something in it that could be run."""
        return self.language == "python" or self.language in SHELL

    @property
    def runs(self) -> bool:
        """Return whether it is run."""
        return self.is_code and self.reason is None


def pages() -> list[Path]:
    """Return the documents: those beside the packages, and those of ``docs/``."""
    own = [path for path in sorted((ROOT / "docs").rglob("*.md")) if APART not in path.parents]
    return [*sorted(ROOT.glob("*.md")), *own]


def blocks(page: Path, text: str | None = None) -> list[Block]:
    """Return the fenced blocks of a page, in their order.

    Args:
        page: the file.
        text: its text; None: it is read.
    """
    found, reason = [], None
    for token in MarkdownIt().parse(page.read_text("utf-8") if text is None else text):
        if token.type == "fence" and token.map is not None:
            language, _, rest = token.info.partition(" ")
            title = TITLE.search(rest)
            file = None if title is None else title[1]
            line = token.map[0] + 2
            found.append(Block(page, line, language, file, token.content, reason))
        note = NOT_RUN.search(token.content) if token.type == "html_block" else None
        reason = None if note is None else " ".join(note[1].split())
    return found


def commands(block: Block) -> Iterator[str]:
    """Yield the command lines of a block of shell; of a session, those after ``$``."""
    text = re.sub(r"\\\n\s*", "", block.code)
    for line in text.splitlines():
        if block.language == "console" and not line.startswith("$ "):
            continue  # output
        line = line.removeprefix("$ ").strip()
        if shlex.split(line, comments=True):
            yield line


def check_command(line: str) -> None:
    """Read a line that begins with ``spectra`` with the parsers of its commands.

    Files need not be there, and ``...`` stands for whatever is left out.

    Raises:
        BlockError: no such command or option, or a choice that there is not.
    """
    words = [word for word in shlex.split(line, comments=True)[1:] if word != "..."]
    command: click.Command = cli
    context = click.Context(cli, info_name="spectra")
    try:
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            name = words.pop(0)
            named = [command.get_command(context, one) for one in name.split("|")]
            if None in named:
                raise BlockError(f"{line}: there is no command {name}")
            command = named[0]
            context = click.Context(command, parent=context, info_name=name)
        values, _, given = command.make_parser(context).parse_args(list(words))
        for parameter in given:
            value = values.get(parameter.name or "")
            if isinstance(parameter.type, click.Choice) and isinstance(value, str):
                for one in value.split("|"):
                    parameter.type.convert(one, parameter, context)
    except click.UsageError as error:
        raise BlockError(f"{line}: {error.format_message()}") from error


@contextlib.contextmanager
def reading_in(folder: Path) -> Iterator["Reader"]:
    """Let somebody read in a folder: Python there finds its files, figures are drawn on nothing.

    Modules that a page has written and imported are forgotten when it is left, in whatever
    temporary folder it wrote them.
    """
    known = set(sys.modules)
    with contextlib.chdir(folder), plt.rc_context({"backend": "agg"}):
        sys.path.insert(0, str(folder))
        try:
            yield Reader()
        finally:
            sys.path.remove(str(folder))
            plt.close("all")
            for name in set(sys.modules) - known:
                file = getattr(sys.modules[name], "__file__", None)
                if file is not None and Path(file).is_relative_to(tempfile.gettempdir()):
                    del sys.modules[name]


class Reader:
    """Somebody who reads a page and types what it shows, in the current folder.

    Attributes:
        names: what the Python blocks have defined so far.
        printed: what the last block printed.
    """

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__page__"}
        self.printed = ""

    def run(self, block: Block) -> None:
        """Run a block.

        Raises:
            BlockError: a command fails, or is none of those that can be run here.
            Exception: what the block's Python raises; its lines are those of the page.
        """
        self.printed = ""
        if block.file is not None:
            path = Path(block.file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
        elif block.language == "python":
            code = "\n" * (block.line - 1) + block.code
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(code, str(block.page), "exec"), self.names)
            self.printed = out.getvalue()
        else:
            for line in commands(block):
                self._type(line, block.place)

    def compare(self, block: Block) -> None:
        """Hold a text block to what the last block printed, numbers and spaces aside.

        Raises:
            BlockError: it shows what was not printed; ``...`` stands for what is left out.
        """
        at, printed = 0, _without_numbers(self.printed)
        for part in filter(None, map(str.strip, _without_numbers(block.code).split("..."))):
            at = printed.find(part, at)
            if at < 0:
                raise BlockError(f"{block.place} shows\n{block.code}\nprinted\n{self.printed}")

    def _type(self, line: str, place: str) -> None:
        program, *arguments = shlex.split(line, comments=True)
        if any(re.fullmatch(r"[<>|&;]+", word) for word in arguments):
            raise BlockError(f"{place}: {line}: pipes and redirections are not run; say why not")
        if program == "python" and len(arguments) == 1 and arguments[0].endswith(".py"):
            runpy.run_path(arguments[0], run_name="__main__")
        elif program == "spectra":
            done = CliRunner().invoke(cli, arguments)
            self.printed += done.output
            if done.exit_code != 0:
                raise BlockError(f"{place}: {line}: exit code {done.exit_code}\n{done.output}")
        else:
            raise BlockError(f"{place}: {program} is not run here; say why above the block")


def _without_numbers(text: str) -> str:
    return " ".join(VARYING.sub("#", text).split())


def check_block(block: Block) -> None:
    """Look at a block without running it: its Python compiles, its commands are there."""
    if block.language == "python":
        compile(block.code, str(block.page), "exec")
    elif block.language in SHELL:
        for line in commands(block):
            if line.startswith("spectra "):
                check_command(line)


def shown_as_text(block: Block) -> list[str]:
    """Return the lines of a block without a language that look like commands."""
    if block.is_code or block.language not in ("", "text"):
        return []
    return [line for line in block.code.splitlines() if line.startswith(COMMANDS)]
