"""The studies of the paper by name, read without what it takes to run one."""

import tomllib
from importlib import resources

FOLDER = resources.files("checkpoints") / "studies" / "published"


def study_names() -> list[str]:
    """Return the names of the studies."""
    return sorted(p.name.removesuffix(".toml") for p in FOLDER.iterdir() if p.name[-5:] == ".toml")


def study_titles() -> dict[str, str]:
    """Return the title of each study, by its name."""
    return {name: _title(name) for name in study_names()}


def _title(name: str) -> str:
    return str(tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))["title"])
