"""A process that has imported everything and forks a child for every command it is asked to run.

A command of its own process spends two seconds on importing torch; a forked one begins at once.
The server itself computes nothing and has one thread, so that its children are as a new process is.
It reads a JSON object a line from standard input and answers with one a line:
``{"start": REQUEST}`` gives ``{"pid": 123}``, and ``{"wait": 123, "limit": 60}`` gives
``{"status": ...}`` as ``os.waitpid`` does, null where the child was still running and was killed.
"""

import contextlib
import gc
import json
import os
import pkgutil
import signal
import sys
import tempfile
import time
from importlib import import_module
from typing import Any

PACKAGES = ("spectra", "checkpoints", "figures", "cli.commands", "cli.display", "cli.options")


def import_everything() -> None:
    """Import every module that a command may need."""
    for package in map(import_module, PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            with contextlib.suppress(ImportError):  # of libraries that are not installed
                import_module(module.name)


def warm_up() -> None:
    """Train and analyze once: libraries load and compile, at their first use, for over a second.

    Raises:
        RuntimeError: that left threads behind, which a fork would lose.
    """
    from cli.main import cli

    small = ["--imbalance-factor", "0.2", "--n-max", "12", "--set", "epochs=1"]
    steps = ["--classes", "9", "--num-probes", "1", "--num-steps", "4", "--max-steps", "6"]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        run, out = f"{folder}/run", f"{folder}/out"
        for command in (
            ["train", "ce-drw", *small, "-o", run],
            ["analyze", run, *steps, "-o", out],
        ):
            cli.main(command, standalone_mode=False)
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        raise RuntimeError(f"expected one thread, got {threads}")
    gc.collect()
    gc.freeze()


def run(request: dict[str, Any], begun: int) -> None:
    """Become the command: its files, its folder, its fault. Ends by SystemExit, as it does.

    ``begun``, a pipe, is closed where a command of its own process would begin.
    """
    from injected import install

    from cli.main import main

    for number, (path, flags) in enumerate(
        [
            ("/dev/null", os.O_RDONLY),
            (request["stdout"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (request["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        ]
    ):
        opened = os.open(path, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    sys.argv = ["spectra", *request["arguments"]]
    install(request["fault"])
    os.close(begun)
    try:
        main()
    except SystemExit as end:
        if request["fault"]["kind"] == "none" and isinstance(end.code, int | None):
            # As nothing strikes it any more: taking all modules apart takes a third of the time.
            sys.stderr.flush()
            os._exit(end.code or 0)
        raise


def start(request: dict[str, Any]) -> int | None:
    """Fork, and return the child's number once it has begun; None in the child, at its end."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        run(request, writing)
        return None
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    return pid


def wait_for(pid: int, limit: float) -> int | None:
    """Return how a child ended; None where ``limit`` seconds passed, and it is killed."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.003)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def serve() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "start" in asked:
            pid = start(asked["start"])
            if pid is None:
                return
            answer: dict[str, Any] = {"pid": pid}
        else:
            answer = {"status": wait_for(asked["wait"], asked["limit"])}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    import_everything()
    warm_up()
    serve()
