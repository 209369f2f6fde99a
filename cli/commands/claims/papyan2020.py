"""``spectra claim papyan2020``: bulk and outliers, and which classes make them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.commands.directions.opened import open_for
from cli.display.lines import print_json, print_paths, say, tell, there
from cli.display.progress import reporting
from cli.display.tables import Table, print_table
from cli.display.words import number, percent
from cli.options import shared
from cli.options.analysis import AskedAnalysis, direction_flags
from cli.options.completion import checkpoint_names
from cli.options.flags import command

if TYPE_CHECKING:
    from checkpoints import LoadOptions
    from spectra.results.claims.class_outliers_result import ClassOutliersResult, LossOutliers


@command(
    short_help="Bulk and outliers by class.",
    examples="""
    # a bundled checkpoint
    spectra claim papyan2020 bundled:digits/ce-drw
    # epoch 100 of a run, 50 images of each class
    spectra claim papyan2020 runs/mine@100 --images-per-class 50
    """,
)
@click.argument("checkpoint", shell_complete=checkpoint_names)
@shared.source
@shared.loading
@direction_flags
@shared.output
@shared.figure_width
@shared.as_json
def papyan2020(
    checkpoint: str,
    source: str | None,
    loading: "LoadOptions",
    asked: AskedAnalysis,
    output: Path | None,
    width: str,
    as_json: bool,
) -> None:
    """Count the outliers of the Hessian at CHECKPOINT and say which classes make them.

    Sagun et al. 2017 and Papyan 2020: about as many outliers as classes, made by the means of
    gradients by class and candidate class.
    """
    from checkpoints.claims.class_outliers import measure_class_outliers
    from figures import plot_class_outliers, save_figure
    from spectra.results.claims.class_outliers_result import (
        class_outliers_to_plain,
        save_class_outliers,
    )

    request = asked.request(classes="all", bending=False)
    loaded, data, folder = open_for(
        "papyan2020", checkpoint, loading, source, request.normalisation, output
    )
    with reporting(f"measuring {loaded.name}") as report:
        result = measure_class_outliers(loaded, data, request, on_progress=report.update)
    written = [folder / "papyan2020.json"]
    save_class_outliers(written[0], result)
    figure = plot_class_outliers(result, title=loaded.name, width=width)
    written += save_figure(figure, folder / "papyan2020")
    if as_json:
        print_json({**class_outliers_to_plain(result), "files": there(written)})
        return
    print_table(vectors_table(loaded.name, result))
    print_table(outliers_table(loaded.name, result))
    tell("", result.sentence)
    say("written:")
    print_paths(written)


def _row(one: "LossOutliers") -> list[str]:
    found = one.outliers
    return [
        one.label,
        str(one.n),
        number(one.loss),
        number(found.values[0]),
        str(found.count),
        number(found.ratio),
        number(found.next_ratio),
        str(one.resolved),
    ]


def _percent(share: float | None) -> str:
    return percent(share).removesuffix(" %")


def vectors_table(name: str, result: "ClassOutliersResult") -> Table:
    """Return a row for each of the largest eigenvectors."""
    return Table(
        f"{name}: the largest eigenvectors of the overall Hessian",
        ["λ", "class means", "of C %", "of C² %", "images of", "give %"],
        [
            [
                number(one.value),
                number(result.between_classes[k]) if k < len(result.between_classes) else "-",
                _percent(one.by_class_means),
                _percent(one.by_cross_means),
                one.strongest,
                _percent(one.shares[one.strongest]),
            ]
            for k, one in enumerate(result.top)
        ],
        meanings={
            "class means": "eigenvalues of their matrix",
            "of C %": "of the eigenvector, what lies in the span of the class means; of C²: "
            "in that of the means by class and candidate class",
            "give %": "of λ, what the images of that class give, which give most",
        },
    )


def outliers_table(name: str, result: "ClassOutliersResult") -> Table:
    """Return a row for the whole loss, and one for each class."""
    return Table(
        f"{name}: outliers",
        [
            "class",
            "images",
            "loss",
            "λmax",
            "widest gap after",
            "factor",
            "next widest",
            "resolved",
        ],
        [_row(one) for one in (result.overall, *result.classes)],
        optional=["loss"],
        meanings={
            "factor": "by which the eigenvalues fall at the widest gap",
            "resolved": "eigenvalues that the density's runs tell apart beyond all others",
        },
    )
