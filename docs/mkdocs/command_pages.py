"""Pages of the commands, written from what click knows of them."""

import re
from collections.abc import Iterator
from html import escape

import click

from cli.options.group import HEADINGS, cli

FOLDER = "reference/commands"


def walk(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Context]]:
    """Yield a command and those below it, each with its whole name."""
    yield context.command_path, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from walk(inner, click.Context(inner, parent=context, info_name=name))


def pages() -> dict[str, str]:
    """Return the text of every page by its place on the site, the index first."""
    root = click.Context(cli, info_name="spectra", max_content_width=100)
    found = {f"{FOLDER}/index.md": ""}
    index = [_page("spectra", root).replace("## ", "# ", 1)]
    for heading, names in HEADINGS.items():
        index += [f"## {heading}", "", "| command | what it does |", "|---|---|"]
        for name in names:
            command = cli.get_command(root, name)
            assert command is not None
            context = click.Context(command, parent=root, info_name=name)
            parts = [_page(path, one) for path, one in walk(command, context)]
            found[f"{FOLDER}/{name}.md"] = "\n".join(parts).replace("## ", "# ", 1)
            index.append(f"| [`{name}`]({name}.md) | {_cell(command.get_short_help_str(200))} |")
        index.append("")
    found[f"{FOLDER}/index.md"] = "\n".join(index)
    return found


def _page(path: str, context: click.Context) -> str:
    command = context.command
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    text = [f"## `{path}`", "", _prose(command.help or ""), "", "```text", usage, "```", ""]
    examples = getattr(command, "examples", [])
    if examples:
        text += ["**Examples**", "", "```sh", *examples, "```", ""]
    for heading, rows in _options(context).items():
        text += [f"**{_cell(heading)}**", "", "| option | what it means |", "|---|---|", *rows, ""]
    if command.epilog:
        text += [_prose(command.epilog), ""]
    return "\n".join(text)


def _options(context: click.Context) -> dict[str, list[str]]:
    """Return rows of a table by the headings under which the help shows them."""
    found: dict[str, list[str]] = {}
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            heading = getattr(parameter, "heading", "") or "Options"
            flags, said = (_cell(part) for part in record)
            found.setdefault(heading, []).append(f"| <code>{flags}</code> | {said} |")
    last = found.pop("Options", None)
    return found if last is None else {**found, "Options": last}


def _cell(text: str) -> str:
    """Return a text as a cell of a table: no mark of Markdown or HTML means anything in it."""
    return re.sub(r"([|*_`\[\]~\\])", r"\\\1", escape(" ".join(text.split()), quote=False))


def _prose(text: str) -> str:
    """Return a help text as Markdown: parts that click leaves as they are become blocks."""
    parts = []
    for part in re.split(r"\n\s*\n", text.strip("\n")):
        if part.lstrip().startswith("\b"):
            lines = part.replace("\b", "").strip("\n").splitlines()
            parts.append("\n".join(["```text", *(line.rstrip() for line in lines), "```"]))
        else:
            parts.append(_cell(part))
    return "\n\n".join(parts)
