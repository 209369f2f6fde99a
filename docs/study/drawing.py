"""The figures of the study, from its stored results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from drawn.headline import plot_headline
from drawn.recurrence import plot_recurrence
from drawn.shrinking import save_small
from ratio_by_loss import load_losses, plot_ratio_against_loss
from recurrence_runs import recurrence_runs
from stored import Network, StoredResults, stored_results

from figures import (
    plot_best_steps,
    plot_class_outliers,
    plot_density,
    plot_protocols_over_training,
)
from spectra.results.claims.best_steps_result import load_best_steps
from spectra.results.claims.class_outliers_result import load_class_outliers
from spectra.results.provenance import AnalysisProtocol, drw_switch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The paper's own setting, and what is drawn of it.
PAPER = {"r32-ce-drw": "CE+DRW", "r32-ce-drw-sam": "CE+DRW+SAM, ρ = .5"}
CLASSES = ("0", "2", "5", "7", "8", "9")
TRAINED = Network("ce-drw")
TAIL = "8"


def draw_study_of_tail_saddles(folder: Path, images: Path) -> list[Path]:
    """Draw every figure of the study from its stored results.

    Args:
        folder: of the stored results.
        images: where figures go.
    """
    results = stored_results(folder)
    drawn = {
        "headline": plot_headline(results, PAPER, CLASSES),
        "density": _densities(results),
        "epochs": _over_training(results),
    }
    runs = recurrence_runs(folder / "recurrences")
    told = {f"seed {k}": runs.run(f"longer-8-fresh-seed{k}") for k in range(3)}
    found = {name: run for name, run in told.items() if run is not None}
    if found:
        drawn["recurrence"] = plot_recurrence(found)
    losses = folder / "loss" / "rows.json"
    if losses.exists():
        rows = load_losses(losses)
        drawn["loss"] = plot_ratio_against_loss(rows.rows, num_steps=rows.num_steps)
    return [
        save_small(figure, images / f"tail-saddles-{name}.png") for name, figure in drawn.items()
    ]


def draw_claims(folder: Path, images: Path) -> list[Path]:
    """Draw what the claims of others come to, from the stored results.

    Args:
        folder: of the stored results.
        images: where figures go.
    """
    digits = folder / "claims" / "digits"
    steps = load_best_steps(digits / "ce-drw-alain2019.json")
    outliers = load_class_outliers(digits / "ce-drw-sam-papyan2020.json")
    drawn = {
        "alain2019": plot_best_steps(steps, title="digits/ce-drw"),
        "papyan2020": plot_class_outliers(outliers, title="digits/ce-drw-sam"),
    }
    return [save_small(figure, images / f"claims-{name}.png") for name, figure in drawn.items()]


def _densities(results: StoredResults) -> Figure:
    """Draw class 8 at the end, over the images held fixed and under fresh draws."""
    network = Network("r32-ce-drw")
    epoch = max(results.epochs(network))
    shown = {
        "plain images": "plain",
        "fresh draws, PyHessian's recurrence": "fresh/pyhessian",
    }
    return plot_density(
        {
            title: results.one(network, epoch, TAIL, protocol).record
            for title, protocol in shown.items()
        },
        protocol=AnalysisProtocol(loss="ce", split="train"),
    )


def _over_training(results: StoredResults) -> Figure:
    epochs = results.epochs(TRAINED)
    return plot_protocols_over_training(
        {epoch: results.rows(TRAINED, epoch) for epoch in epochs},
        {"plain": "plain images, certified", "fresh/pyhessian": "fresh draws, PyHessian"},
        switch_epoch=drw_switch(max(epochs)),
        caption="CE+DRW. ResNet-20, CIFAR-10-LT, seed 0.",
    )
