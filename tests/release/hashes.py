"""``make hashes``: write the SHA-256 of every file of every version in constraints.txt.

The digests are those that the package index gives. ``pip install --require-hashes -r
constraints-hashes.txt`` then takes no other file. Not covered: wheels that lie elsewhere under the
same version, such as torch's builds for the CPU alone, whose digests are others; and the tools that
pip fetches for itself to build a package from its sdist.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINNED = ROOT / "constraints.txt"
HASHED = ROOT / "constraints-hashes.txt"
HEAD = """\
# The versions of constraints.txt with the SHA-256 of their files, as the package index gives them.
# Made by `make hashes`. Not covered: torch's builds for the CPU alone, which have another index.
"""


def pinned(text: str) -> dict[str, str]:
    """Return versions by the normalised names of packages, of either file."""
    lines = (line.split(" ")[0] for line in text.splitlines() if line[:1].isalnum())
    pairs = (line.split("==") for line in lines)
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def main() -> None:
    """Ask the index and write the file."""
    done = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--no-deps",
         "--no-header", "--no-annotate", "--generate-hashes", str(PINNED)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(f"the index gave no digests: {done.stderr.strip()}")
    HASHED.write_text(HEAD + done.stdout, encoding="utf-8")
    sys.stdout.write(f"{HASHED.name}: {done.stdout.count('--hash=')} files\n")


if __name__ == "__main__":
    main()
