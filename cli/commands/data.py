"""``spectra data``: look at data, check image files, or download."""

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
from cli.options.values import Folder, pick_device, writable
from spectra.errors import InputError
from spectra.results.groups.many import are_many

# Ours: of what is wrong, lines that are shown; all of them go into a file.
_SHOWN = 20


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
    """Look at long-tailed data, check image files, or download CIFAR."""


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


@data.command(
    "check",
    cls=HeadedCommand,
    examples="""
    # is every image of ImageNet-LT there, and none of them twice
    spectra data check imagenet-lt:/data/imagenet
    # decode all of them as well, and compare with how fast a network trains
    spectra data check list:train.txt,test.txt,photos --decode --against resnet50
    """,
)
@click.argument("source", shell_complete=source_names)
@click.option("--decode", is_flag=True, help="Decode all of every image, not its header alone.")
@click.option(
    "--workers",
    type=click.IntRange(0, 1024),
    help="Processes that look and decode; 0: none.  [SPECTRA_WORKERS, else the cores, up to 16]",
)
@click.option(
    "--against",
    metavar="NETWORK",
    help="Also measure images a second: decoded, and trained by this network.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Images a step of --against.",
)
@shared.device
@click.option(
    "-o",
    "--output",
    type=Folder(),
    help="Folder for the list of what is wrong, broken-images.txt.  [the current folder]",
)
@shared.as_json
def check(
    source: str,
    decode: bool,
    workers: int | None,
    against: str | None,
    batch_size: int,
    device: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """List the image files of SOURCE that are missing, broken or there twice.

    SOURCE is imagenet-lt:DIR, inaturalist18:DIR or list:TRAIN.txt,TEST.txt,ROOT. Files that cannot
    be used end the command with exit code 2; images that are there twice do not.
    """
    from checkpoints import load_data
    from checkpoints.data.photos.checking import check_photos
    from checkpoints.data.photos.photos import Photos, faults_named
    from checkpoints.data.photos.workers import Workers
    from checkpoints.training.images.checked_files import BROKEN
    from checkpoints.training.images.rates import measure_rates
    from spectra.results.plain import to_plain
    from spectra.system.files.writing import write_atomically

    found = load_data(source)
    parts = {"train": found.train, "test": found.test}
    photos = {name: part for name, part in parts.items() if isinstance(part, Photos)}
    if not photos:
        raise InputError(
            f"the images of {found.name} lie in memory, and were read whole; expected "
            "imagenet-lt:DIR, inaturalist18:DIR or list:TRAIN.txt,TEST.txt,ROOT"
        )
    pool = Workers(workers)
    with reporting(f"looking at the images of {found.name}") as report:
        checked = check_photos(photos, decode=decode, workers=pool, on_progress=report.update)
    rates = None
    if against is not None and not checked.faults:
        with reporting(f"decoding, then training {against}"):
            rates = measure_rates(
                found, against, batch_size=batch_size, device=pick_device(device), workers=pool
            )
    lines = checked.lines()
    path = (output or Path()) / BROKEN
    if lines:
        write_atomically(path, "".join(f"{line}\n" for line in lines).encode())
    if as_json:
        print_json(
            {"name": found.name, "notes": list(found.notes)}
            | {"checked": to_plain(checked), "rates": to_plain(rates)}
            | {"listed_in": str(path) if lines else None}
        )
    else:
        for text in found.notes:
            note(f"note: {text}")
        say(*lines[:_SHOWN])
        if len(lines) > _SHOWN:
            say(f"... and {len(lines) - _SHOWN} more")
        what = "decoded" if decode else "headers read"
        tell(
            f"{checked.files:,} image files, {what} in {checked.seconds:.1f} s "
            f"({checked.files / checked.seconds:,.0f} a second, {pool.count} processes): "
            f"{len(checked.faults)} cannot be used; there more than once: "
            f"{len(checked.duplicates)} ({checked.comparing:.1f} s)"
            + (f"; all in {path}" if lines else "")
        )
        if rates is not None:
            keeps = rates.decoded >= rates.trained
            tell(
                f"{rates.decoded:,.0f} images a second are decoded by {rates.workers} processes, "
                f"{rates.trained:,.0f} trained by {rates.network} on {rates.device} in batches of "
                f"{rates.batch_size}: "
                + ("decoding keeps up" if keeps else "the network waits for images")
            )
    if checked.faults:
        raise InputError(
            f"{len(checked.faults)} of {checked.files} image files cannot be used, all in {path}: "
            f"{faults_named(checked.faults)}"
        )
