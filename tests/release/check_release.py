"""``make release-check``: build a release from a clean clone, install it elsewhere, try it there.

Each check prints a line; the last line says how many passed. Nothing is written outside a
temporary folder. It takes a few minutes and the space of a torch. What it does not run, it names.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from hashes import HASHED, PINNED, ROOT, pinned
from installed import MODULES, PACKAGE_DATA

LARGEST = 3_000_000  # bytes of a wheel, and of an sdist
ENDS = ("2.11.0", "2.13.0")  # of the range of torch in setup.cfg

# Tools that are needed here alone come into environments of their own.
TOOL = (sys.executable, "-m", "uv", "--quiet", "tool", "run")


class CheckError(Exception):
    """A check did not pass; the text says why."""


def run(*command: str | Path, at: Path, umask: int = 0o022, fails: bool = False) -> str:
    """Run a command without the repository on Python's path and return what it printed.

    Raises:
        CheckError: it failed, or did not though ``fails`` says that it must.
    """
    unset = ("PYTHONPATH", "SOURCE_DATE_EPOCH", "VIRTUAL_ENV")
    done = subprocess.run(
        [str(part) for part in command], cwd=at, umask=umask, capture_output=True, text=True,
        env={key: value for key, value in os.environ.items() if key not in unset},
    )  # fmt: skip
    told = done.stdout + done.stderr
    if (done.returncode != 0) != fails:
        raise CheckError(
            f"{' '.join(map(str, command))}: exit code {done.returncode}\n{told[-2000:]}"
        )
    return told


def clone(folder: Path, *, umask: int = 0o022) -> Path:
    """Clone the commit that is checked out, without what has changed since and without tags."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    run("git", "clone", "--quiet", "--no-tags", ROOT, folder, at=folder.parent, umask=umask)
    return folder


def build(source: Path, *, umask: int = 0o022) -> dict[str, Path]:
    """Build sdist and wheel, the wheel out of the sdist, with the versions of constraints.txt."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", source / "dist", source,
        at=source, umask=umask)  # fmt: skip
    return {path.suffix: path for path in (source / "dist").iterdir()}


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Release:
    """The checks, in the order in which they are run, on files that the first of them builds."""

    def __init__(self, folder: Path, torch: str) -> None:
        self.folder = folder
        self.torch = torch
        self.built: dict[str, Path] = {}
        self.python = folder / "elsewhere" / "bin" / "python"
        self.empty = folder / "empty"
        self.empty.mkdir()

    def two_builds_give_the_same_bytes(self) -> str:
        """Build at two places, at two times, under two umasks."""
        self.built = build(clone(self.folder / "one"))
        other = build(clone(self.folder / "far" / "away" / "two", umask=0o077), umask=0o077)
        for kind, path in self.built.items():
            if digest(path) != digest(other[kind]):
                raise CheckError(f"two builds of {path.name} differ")
        return ", ".join(f"{path.name} {digest(path)[:12]}" for path in self.built.values())

    def they_are_small(self) -> str:
        """Hold their sizes against the bar."""
        sizes = {path.name: path.stat().st_size for path in self.built.values()}
        large = {name: size for name, size in sizes.items() if size >= LARGEST}
        if large:
            raise CheckError(f"{large} are not under {LARGEST} bytes")
        return ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in sizes.items())

    def the_wheel_holds_what_it_should(self) -> str:
        """Compare with the tracked files of the four packages, less the weights left out."""
        with zipfile.ZipFile(self.built[".whl"]) as wheel:
            names = {name for name in wheel.namelist() if ".dist-info/" not in name}
            notices = [name for name in wheel.namelist() if ".dist-info/licenses/" in name]
        tracked = run("git", "ls-files", *MODULES, at=self.folder / "one").splitlines()
        wanted = {name for name in tracked if name.endswith(".py")} | set(PACKAGE_DATA)
        weights = {name for name in names if name.endswith(".safetensors")}
        if names - weights != wanted or not weights <= set(tracked):
            raise CheckError(f"the wheel differs by {sorted((names - weights) ^ wanted)[:5]}")
        if len(notices) != 2:
            raise CheckError(f"LICENSE and THIRD-PARTY.md belong into the wheel, found {notices}")
        told = run(*TOOL, "check-wheel-contents==0.6.3", "--toplevel", ",".join(MODULES),
                   self.built[".whl"], at=self.empty)  # fmt: skip
        return f"{len(names)} files, {len(weights)} of weights; {told.strip().splitlines()[-1]}"

    def the_version_is_the_tags(self) -> str:
        """Build at a tag and after one, and compare the numbers that stand in the tree."""
        source = clone(self.folder / "tagged")
        found = []
        for step in (("tag", "v9.9.9"), ("commit", "--quiet", "--allow-empty", "-m", "after")):
            run("git", "-c", "user.name=a", "-c", "user.email=a@localhost", *step, at=source)
            run(sys.executable, "-m", "build", "--no-isolation", source, at=source)
            (wheel,) = (source / "dist").glob("*.whl")
            with zipfile.ZipFile(wheel) as files:
                text = files.read("spectra/_version.py").decode()
            found.append(re.findall(r'__version__ = "(.*)"', text)[0])
            wheel.unlink()
        if found != ["9.9.9", "9.9.10.dev1"]:
            raise CheckError(f"expected 9.9.9 at the tag v9.9.9 and .dev1 after it, got {found}")
        tree = self.built[".whl"].name.split("-")[1]
        tag = run("git", "tag", "--points-at", "HEAD", "--list", "v[0-9]*", at=ROOT).split()
        if tag and f"v{tree}" not in tag:
            raise CheckError(f"the commit is tagged {tag}, spectra/_version.py says {tree}")
        return f"{' and '.join(found)}; without tags {tree}"

    def it_installs_elsewhere(self) -> str:
        """Install the wheel into an environment of its own, with the pinned versions."""
        run(sys.executable, "-m", "venv", self.python.parents[1], at=self.empty)
        limits = self.folder / "constraints.txt"
        text = PINNED.read_text(encoding="utf-8")
        limits.write_text(re.sub(r"(?m)^torch(vision)?==.*\n", "", text), encoding="utf-8")
        run(self.python, "-m", "pip", "install", "--quiet", "-c", limits, self.built[".whl"],
            f"torch=={self.torch}", at=self.empty)  # fmt: skip
        return run(self.python, "-I", "-c", "import torch; print('torch', torch.__version__)",
                   at=self.empty).strip()  # fmt: skip

    def every_module_and_data_file_is_there(self) -> str:
        """Import all of it in isolated mode, where no folder of the user is on the path."""
        script = (Path(__file__).parent / "installed.py").read_text(encoding="utf-8")
        return run(self.python, "-I", "-c", script, ROOT, at=self.empty).strip()

    def the_command_works_there(self) -> str:
        """Ask for the version, the doctor, and the spectra of a bundled network."""
        spectra = self.python.with_name("spectra")
        version = run(spectra, "--version", at=self.empty).strip()
        if self.built[".whl"].name.split("-")[1] not in version:
            raise CheckError(f"'spectra --version' says {version}")
        doctor = run(spectra, "doctor", at=self.empty)
        if "bundled checkpoints match their manifest" not in doctor:
            raise CheckError(doctor)
        run(spectra, "analyze", "bundled:digits/ce-drw", "-o", "out", at=self.empty)
        written = sorted(path.name for path in (self.empty / "out").rglob("*") if path.is_file())
        if not any(name.endswith(".json") for name in written):
            raise CheckError(f"'spectra analyze' wrote {written}")
        return f"{version}; doctor; analyze wrote {', '.join(written)}"

    def what_is_left_out_is_named(self) -> str:
        """Ask for weights that lie in the repository alone."""
        spectra = self.python.with_name("spectra")
        told = run(spectra, "analyze", "bundled:cifar10-lt/ce-drw@200", at=self.empty, fails=True)
        if "source repository" not in told or len(told.strip().splitlines()) != 1:
            raise CheckError(told)
        return told.strip()[:72] + " …"

    def the_citation_is_valid(self) -> str:
        """Hold CITATION.cff against the schema."""
        return run(
            *TOOL, "cffconvert==2.0.0", "--validate", "-i", ROOT / "CITATION.cff", at=self.empty
        ).strip()

    def every_constraint_has_digests(self) -> str:
        """Compare the versions of the two files."""
        versions = pinned(PINNED.read_text(encoding="utf-8"))
        hashed = HASHED.read_text(encoding="utf-8")
        if pinned(hashed) != versions:
            differ = sorted(set(versions.items()) ^ set(pinned(hashed).items()))
            raise CheckError(f"run 'make hashes': {differ[:4]}")
        return f"{len(versions)} packages, {hashed.count('--hash=')} files"

    def checks(self) -> list[Callable[[], str]]:
        """Return the checks in their order."""
        return [
            self.two_builds_give_the_same_bytes, self.they_are_small,
            self.the_wheel_holds_what_it_should, self.the_version_is_the_tags,
            self.the_citation_is_valid, self.every_constraint_has_digests,
            self.it_installs_elsewhere, self.every_module_and_data_file_is_there,
            self.the_command_works_there, self.what_is_left_out_is_named,
        ]  # fmt: skip


def main() -> int:
    """Run all checks; the exit code is how many failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", default=pinned(PINNED.read_text("utf-8"))["torch"])
    torch = parser.parse_args().torch
    failed = 0
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        checks = Release(Path(folder).resolve(), torch).checks()
        for check in checks:
            name = check.__name__.replace("_", " ")
            try:
                sys.stdout.write(f"passed  {name}: {check()}\n")
            except CheckError as refusal:
                failed += 1
                sys.stdout.write(f"FAILED  {name}: {refusal}\n")
            sys.stdout.flush()
    if run("git", "status", "--porcelain", at=ROOT):
        sys.stdout.write("note    files that are not committed were not looked at\n")
    for end in ENDS:
        if end != torch:
            sys.stdout.write(f"not run torch {end}: 'make release-check TORCH={end}' does\n")
    sys.stdout.write(f"{len(checks) - failed} passed, {failed} failed\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
