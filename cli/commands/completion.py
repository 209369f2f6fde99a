"""``spectra completion``: what a shell needs to complete words of this command."""

import click

from cli.display.lines import say
from cli.options.flags import command

SHELLS = ("bash", "zsh", "fish")
# bash splits words at colons, and would offer "bundled:bundled:digits/ce".
_WHOLE_WORDS = "COMP_WORDBREAKS=${COMP_WORDBREAKS//:}"


@command(
    short_help="Make the tab key complete commands, recipes, checkpoints.",
    examples="""
    # in bash, for good
    spectra completion bash >> ~/.bashrc
    # in zsh, for good
    spectra completion zsh >> ~/.zshrc
    # in fish, for good
    spectra completion fish > ~/.config/fish/completions/spectra.fish
    """,
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that makes the tab key of SHELL complete words of spectra.

    Commands, options, recipes, bundled checkpoints, studies and words for classes are completed;
    else files.
    """
    from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

    kinds: dict[str, type[ShellComplete]] = {
        "bash": BashComplete,
        "zsh": ZshComplete,
        "fish": FishComplete,
    }
    kind = kinds[shell]
    root = click.get_current_context().find_root().command
    values = kind(root, {}, "spectra", "_SPECTRA_COMPLETE").source_vars()
    text = kind.source_template % values
    if shell == "bash":
        text += f"\n{_WHOLE_WORDS}\n"
    for line in text.splitlines():
        say(line)
