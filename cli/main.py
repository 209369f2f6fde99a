"""Where ``spectra`` begins and ends: whatever happens, the last thing said is one line.

All else is imported once that is seen to, so that Ctrl-C while it is imported is one line too.
"""

import sys


def __getattr__(name: str) -> object:
    """Return ``cli`` or ``COMMANDS``, which are imported when they are used."""
    if name not in ("cli", "COMMANDS"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cli.options import group

    return getattr(group, name)


def main() -> None:
    """Run the command line."""
    try:
        from cli.display.failures import heed_signals
        from cli.display.ranks import hush_others

        heed_signals()
        hush_others()
        from cli.options.group import cli

        cli.main(prog_name="spectra")
    except SystemExit:
        raise
    except BaseException as error:  # before there was a group that says it
        from cli.display.failures import failure, heed_none, print_traceback

        heed_none()
        if "--debug" in sys.argv[1:2]:
            print_traceback(error)
        line, code = failure(error)
        sys.stderr.write(f"{line}\n")
        sys.exit(code)
    finally:
        from cli.display.failures import end_quietly, heed_none

        heed_none()
        end_quietly(sys.stdout)


if __name__ == "__main__":
    main()
