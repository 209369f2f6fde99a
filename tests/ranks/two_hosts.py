"""Two machines, played by two network namespaces of Linux that one cable joins.

Each has its own name, network and ``/etc/hosts``, and shares the files of this machine.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from launching import environment

NAMES = ("first", "second")
_ADDRESSES = ("10.231.7.1", "10.231.7.2")
_PORT = 29500
# Seconds; what the namespaces are kept for where nobody ends them.
_LONG = "3600"


class NoHostsError(Exception):
    """This machine does not let namespaces be made."""


class TwoHosts:
    """Two hosts and the cable between them.

    Args:
        folder: for their ``hosts`` file.
    """

    def __init__(self, folder: Path) -> None:
        self._hosts = folder / "hosts"
        lines = [f"{a} {n}\n" for a, n in zip(_ADDRESSES, NAMES, strict=True)]
        self._hosts.write_text("127.0.0.1 localhost\n" + "".join(lines))
        self._holders: list[subprocess.Popen[bytes]] = []
        self._jobs: list[subprocess.Popen[str]] = []

    def begin(self) -> None:
        """Make them.

        Raises:
            NoHostsError: they cannot be made here, such as in a container without the rights.
        """
        try:
            own = ["unshare", "--user", "--map-root-user", "--net", "--uts", "--mount"]
            self._hold(*own)
            inner = ["unshare", "--net", "--uts", "--mount"]
            self._hold(*self._entering(0, "--user", "--preserve-credentials"), *inner)
            for host, name in enumerate(NAMES):
                self._do(host, "hostname", name)
                self._do(host, "mount", "--bind", str(self._hosts), "/etc/hosts")
                self._do(host, "ip", "link", "set", "lo", "up")
            peer = ("type", "veth", "peer", "name", "cable", "netns", str(self._holders[1].pid))
            self._do(0, "ip", "link", "add", "cable", *peer)
            for host, address in enumerate(_ADDRESSES):
                self._do(host, "ip", "addr", "add", f"{address}/24", "dev", "cable")
                self._do(host, "ip", "link", "set", "cable", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            self.end()
            raise NoHostsError(str(error)) from error

    def end(self) -> None:
        """End all that runs on them, and with that the hosts."""
        for process in (*self._jobs, *self._holders):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()  # which closes what it has said

    def cut(self) -> None:
        """Pull the cable out."""
        self._do(0, "ip", "link", "set", "cable", "down")

    def hide(self, host: int, folder: Path) -> None:
        """Let one host see nothing in a folder."""
        self._do(host, "mount", "-t", "tmpfs", "none", str(folder))

    def torchrun(self, host: int, *command: str, ranks: int = 1) -> subprocess.Popen[str]:
        """Start ``torchrun`` of a job over both hosts on one of them."""
        meeting = ("--master-addr", NAMES[0], "--master-port", str(_PORT))
        if os.environ.get("STATIC"):
            meeting = (
                "--node-rank",
                str(host),
                "--master-addr",
                NAMES[0],
                "--master-port",
                str(_PORT),
            )
        process = subprocess.Popen(
            [
                *self._entering(host),
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"),
                *("--node-rank", str(host), "--nproc-per-node", str(ranks), *meeting, *command),
            ],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._jobs.append(process)
        return process

    def _entering(self, host: int, *spaces: str) -> list[str]:
        spaces = spaces or ("--user", "--preserve-credentials", "--net", "--uts", "--mount")
        # Without a fork: whoever kills the process that was started kills the command.
        return ["nsenter", "--target", str(self._holders[host].pid), *spaces, "--"]

    def _hold(self, *making: str) -> None:
        holder = subprocess.Popen(
            [*making, "sh", "-c", f"echo; exec sleep {_LONG}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._holders.append(holder)
        assert holder.stdout is not None
        assert holder.stderr is not None
        if not holder.stdout.readline():
            raise OSError(holder.stderr.read().decode())

    def _do(self, host: int, *command: str) -> None:
        subprocess.run([*self._entering(host), *command], check=True, capture_output=True)
