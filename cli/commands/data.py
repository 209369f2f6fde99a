"""``spectra data``: look at data, or download it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from checkpoints.choices import ARCHIVE_NAMES
from cli.display.lines import note, print_json, say, tell
from cli.display.progress import reporting
from cli.display.tables import Table, print_table
from cli.display.words import plain_text
from cli.options import shared
from cli.options.completion import source_names
from cli.options.flags import GroupWithExamples, HeadedCommand
from cli.options.values import Folder, writable
from spectra.errors import InputError
from spectra.results.groups.many import are_many


@click.group(
    cls=GroupWithExamples,
    examples="""
    # how long the tail of the bundled digits is
    spectra data show
    # CIFAR-10, for all commands that follow
    spectra data fetch cifar10 -o data
    """,
)
def data() -> None:
    """Look at long-tailed data, or download CIFAR."""


@data.command(
    "show",
    cls=HeadedCommand,
    examples="""
    # the bundled digits
    spectra data show
    # folders of images, one a class, as 32 x 32 pixels
    spectra data show folder:photos,32
    """,
)
@click.argument("source", default="digits", shell_complete=source_names)
@shared.profile
@shared.as_json
def show(source: str, profile: dict[str, Any], as_json: bool) -> None:
    """Print the class counts, split and identity of SOURCE."""
    from checkpoints import DataRequest, load_data
    from checkpoints.data.longtail import groups_by_size

    found = load_data(DataRequest(source or "digits", **profile))
    counts = found.class_counts
    tests = found.test.counts(found.num_classes) if found.test else (0,) * found.num_classes
    groups = groups_by_size(counts)
    summary = {
        "name": found.name,
        "description": found.description,
        "digest": found.digest(),
        "image_shape": list(found.train.shape),
        "class_counts": list(counts),
        "test_counts": list(tests),
        "groups": {name: list(classes) for name, classes in groups.items()},
        "normalisation": found.normalisation.to_dict(),
    }
    if as_json:
        print_json(summary)
        return
    title = f"{found.name}: {sum(counts)} training images"
    if are_many(counts):
        print_table(Table(
            f"{title} of {len(counts)} classes",
            ["group", "classes", "train", "smallest class", "largest class", "test"],
            [_row_of_group(name, classes, counts, tests) for name, classes in groups.items()],
        ))  # fmt: skip
    else:
        group_of = {c: name for name, classes in groups.items() for c in classes}
        rows = [
            [str(c), group_of[c], str(counts[c]), str(tests[c])] for c in range(found.num_classes)
        ]
        print_table(Table(title, ["class", "group", "train", "test"], rows))
    for text in found.notes:
        note(f"note: {text}")
    shape = found.train.shape
    what = "images" if len(shape) == 3 else "samples"
    axes = " (channels, height, width)" if len(shape) == 3 else ""
    tell(
        f"{what} {' x '.join(map(str, shape))}{axes}; normalisation "
        f"{plain_text(found.normalisation.to_dict())}"
    )
    tell(plain_text(found.description), f"sha256 {summary['digest']}")


def _row_of_group(
    name: str, classes: Sequence[int], counts: Sequence[int], tests: Sequence[int]
) -> list[str]:
    own = [counts[c] for c in classes] or [0]
    numbers = (len(classes), sum(own), min(own), max(own), sum(tests[c] for c in classes))
    return [name, *map(str, numbers)]


@data.command(
    "fetch",
    cls=HeadedCommand,
    examples="""
    # CIFAR-10
    spectra data fetch cifar10 -o data
    # from a mirror that is nearer; its digest is checked
    spectra data fetch cifar10 --url https://mirror.example/cifar-10-python.tar.gz
    """,
)
@click.argument("name", type=click.Choice(ARCHIVE_NAMES))
@click.option("-o", "--output", type=Folder(), help="Folder. [SPECTRA_DATA]")
@click.option("--url", help="Mirror to download from; the digest stays the official one.")
@click.option("--timeout", type=float, help="Seconds without a byte.  [30]")
@click.option("--deadline", type=float, help="Seconds for the whole download.  [3600]")
def fetch_command(
    name: str, output: Path | None, url: str | None, timeout: float | None, deadline: float | None
) -> None:
    """Download NAME over HTTPS into a folder; run again to resume.

    Proxies are those of the environment (https_proxy).
    """
    from dataclasses import replace

    from checkpoints.data.downloads.deadline import Patience
    from checkpoints.data.fetch import ARCHIVES, fetch
    from checkpoints.data.sources import data_folder

    folder = output or data_folder()
    if folder is None:
        raise InputError("where to? give -o FOLDER or set SPECTRA_DATA")
    given = {"timeout": timeout, "deadline": deadline}
    patience = Patience(**{key: value for key, value in given.items() if value is not None})
    archive = ARCHIVES[name] if url is None else replace(ARCHIVES[name], url=url)
    writable(folder)
    with reporting(f"downloading {name}", in_bytes=True) as report:
        place = fetch(name, folder, archive=archive, patience=patience, on_progress=report.update)
    say(f"{name} is in {place}; use it as --data {name}:{place}")
