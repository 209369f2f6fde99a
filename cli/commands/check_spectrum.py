"""``spectra check-spectrum``: whether the ends of anybody's density belong to eigenvalues."""

from pathlib import Path

import click

from cli.display.lines import print_json, tell
from cli.display.tables import Table, print_table
from cli.options.flags import command


@command(
    "check-spectrum",
    short_help="Whether the ends of a stored density carry mass.",
    examples="""
    # a result of spectra analyze
    spectra check-spectrum runs/mine/analysis.json
    # somebody else's nodes and weights
    spectra check-spectrum theirs.csv --parameter-count 269722
    """,
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--parameter-count",
    type=int,
    metavar="P",
    help="Parameters of the network, where FILE does not say it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def check_spectrum(file: Path, parameter_count: int | None, as_json: bool) -> None:
    """Check nodes and weights in FILE, without network or images; nothing in it is executed.

    FILE is a result of `spectra analyze` or of a study, or what others keep: JSON, .npz, .npy, .csv
    or .txt with nodes and weights (PyHessian's density_eigen and density_weight too). An eigenvalue
    of a fixed matrix carries a weight of about 1/P; the table shows P times the weight of the
    outermost nodes, and the probability that an eigenvalue carries no more.
    """
    from spectra.findings.spectrum_check import WARNING_RATE
    from spectra.results.plain import to_plain
    from spectra.results.said.short_words import labels_in_words
    from spectra.results.spectrum_file import check_spectrum_file

    found = check_spectrum_file(file, parameter_count)
    if as_json:
        print_json(
            [
                {"name": name, **to_plain(check), "warning": check.warning}
                for name, check in found.items()
            ]
        )
        return
    rows = [
        [
            name,
            f"{check.size:,}",
            *(
                text
                for end in (check.lowest, check.highest)
                for text in (f"{end.node:.4g}", f"{end.mass:.2g}", f"{end.probability:.2g}")
            ),
        ]
        for name, check in found.items()
    ]
    print_table(
        Table(
            f"{file.name}: mass of the outermost nodes, P × weight; an eigenvalue's is about 1",
            [
                "loss",
                "P",
                "lowest",
                "its mass",
                "probability",
                "highest",
                "its mass ",
                "probability ",
            ],
            rows,
        )
    )
    for name, check in found.items():
        if check.warning:
            tell(f"{name}: {check.sentence}")
    sound = [name for name, check in found.items() if not check.warning]
    if sound:
        tell(
            f"{labels_in_words(sound)}: both ends carry what eigenvalues of a fixed matrix may "
            "carry."
        )
    tell(
        f"An end is said to carry no mass under a probability of {WARNING_RATE / 2:g}: of "
        f"fixed matrices by Lanczos' recurrence, 1 density in {1 / WARNING_RATE:,.0f} at most."
    )
