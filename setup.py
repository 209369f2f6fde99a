"""What setup.cfg cannot say: the version is the tag's, and the same commit gives the same bytes.

A build at the tag ``v0.2.0`` is 0.2.0, ``.devN`` after it. Without tags (a shallow clone, files
without git) it is the number in ``spectra/_version.py``, which is the release that the tree goes
towards. That number is also what a clone's results record, so that they do not change with every
commit.
"""

import gzip
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).parent
VERSION_FILE = Path("spectra/_version.py")
ASSIGNED = re.compile(r'^__version__ = "(.*)"$', re.MULTILINE)


def version_of_tree() -> str:
    """Return the number that the source files give."""
    (found,) = ASSIGNED.findall((HERE / VERSION_FILE).read_text(encoding="utf-8"))
    return str(found)


def version_of_archive() -> str | None:
    """Return what an unpacked sdist says that it is; of a clone, nothing."""
    packed = HERE / "PKG-INFO"
    if not packed.exists():
        return None
    return re.findall(r"^Version: (.*)$", packed.read_text(encoding="utf-8"), re.MULTILINE)[0]


def version_of_commit(found: Any) -> str:
    """Return what setuptools-scm's version of a commit is called: without hash and date.

    Args:
        found: the nearest tag, how many commits ago it was, and whether files have changed since.
    """
    from setuptools_scm.version import guess_next_dev_version

    has_tags = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0"], cwd=HERE, capture_output=True, check=False
    )
    if has_tags.returncode != 0:
        return version_of_tree()
    return str(guess_next_dev_version(found))


def time_of_commit() -> int:
    """Return when the commit was made; of an unpacked sdist, the time that its files have."""
    if (HERE / "PKG-INFO").exists():
        return int((HERE / "setup.cfg").stat().st_mtime)
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return int(done.stdout) if done.returncode == 0 else 315_532_800  # 1980, where zip files begin


class BuildWithVersion(build_py):
    """Write the version into the packages that are built, and give all files the same rights."""

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            return
        built = Path(self.build_lib)
        path = built / VERSION_FILE
        line = f'__version__ = "{self.distribution.get_version()}"'
        path.write_text(ASSIGNED.sub(line, path.read_text(encoding="utf-8")), encoding="utf-8")
        for file in built.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)


class SdistOfCommit(sdist):
    """An archive whose bytes follow from the files in it: their order, times, owners and rights."""

    def make_archive(
        self,
        base_name: Any,
        format: str,
        root_dir: Any = None,
        base_dir: str | None = None,
        owner: str | None = None,
        group: str | None = None,
    ) -> str:
        """Pack ``base_dir``; the signature is that of setuptools."""
        if format != "gztar" or base_dir is None:
            packed = super().make_archive(base_name, format, root_dir, base_dir, owner, group)
            return str(packed)
        time = int(os.environ["SOURCE_DATE_EPOCH"])
        path = Path(f"{base_name}.tar.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            path.open("wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=time) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name in sorted(p for p in Path(base_dir).rglob("*") if p.is_file()):
                info = archive.gettarinfo(str(name), arcname=name.as_posix())
                info.type, info.linkname = tarfile.REGTYPE, ""
                info.size = name.stat().st_size
                info.mtime, info.mode = time, 0o644
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                with name.open("rb") as content:
                    archive.addfile(info, content)
        return str(path)


os.environ.setdefault("SOURCE_DATE_EPOCH", str(time_of_commit()))
os.umask(0o022)
from_tags = {
    "version_scheme": version_of_commit,
    "local_scheme": "no-local-version",
    "fallback_version": version_of_tree(),
}
packed = version_of_archive()
setup(
    **({"version": packed} if packed else {"use_scm_version": from_tags}),
    cmdclass={"build_py": BuildWithVersion, "sdist": SdistOfCommit},
)
