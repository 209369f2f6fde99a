"""The command line as tests call it, without a process."""

from click.testing import CliRunner, Result

from cli.main import cli

SMALL = ["--num-probes", "1", "--num-steps", "8", "--no-figures"]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def unfolded(text: str) -> str:
    """Return what was printed as one line, however a terminal folded it."""
    return " ".join(text.split())


def refused(*arguments: object) -> str:
    """Return the one line that a user's mistake prints."""
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.strip().splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]
