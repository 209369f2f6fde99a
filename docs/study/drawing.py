"""The figures of the study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from stored import ORDER, Network, rows_of, stored_results
from tables import networks_table, protocols_table, training_table

from checkpoints.recipes.schedules import drw_switch
from figures import (
    plot_density,
    plot_protocols,
    plot_protocols_over_training,
    plot_theorem,
    save_figure,
)
from spectra.results.directions.theorem_result import load_theorem
from spectra.results.protocol_rows import ProtocolRow
from spectra.results.provenance import AnalysisProtocol
from spectra.system.files import write_atomically

# Networks by the names of their folders, as tables and figures call them.
PLAIN, FITTED = Network("ce-drw"), Network("ce-drw-longer")
TITLES = {
    PLAIN.name: "CE+DRW, 60 epochs",
    FITTED.name: "CE+DRW, 90 epochs",
    "ce-drw-then-sam-rho01": "late SAM, ρ = .1",
    "ce-drw-then-sam": "late SAM, ρ = .5",
    "ce-drw-sam": "SAM, ρ = .5",
    "vs": "VS, 60 epochs",
    "vs-then-sam-rho01": "VS, late SAM, ρ = .1",
}
SEVERAL_SEEDS = (PLAIN.name, "ce-drw-then-sam-rho01")
TAIL = "8"


def draw_study_of_tail_saddles(folder: Path, images: Path) -> list[Path]:
    """Draw every figure of the study from its stored results, and write its tables.

    Args:
        folder: of the stored results.
        images: where figures go.
    """
    results = stored_results(folder)
    rows = {network: rows_of(epochs[max(epochs)]) for network, epochs in results.items()}
    for network, found in rows.items():
        table = protocols_table(found)
        write_atomically(folder / f"protocols-{network.slug}.md", table.encode())
    write_atomically(folder / f"class-{TAIL}.md", networks_table(rows, TITLES, TAIL).encode())

    training = {epoch: rows_of(found) for epoch, found in results[PLAIN].items()}
    write_atomically(folder / "over-training.md", training_table(training).encode())
    last = max(training)
    fitted = results[FITTED][max(results[FITTED])]
    note = "ResNet-20, CIFAR-10-LT, seed 0."
    trained = {title: _tail(found) for title, found in _by_training(rows).items()}
    losses = f"Losses, in this order: {', '.join(f'{_loss(r):.2g}' for r in trained.values())}."
    drawn = {
        "protocols": plot_protocols(
            {TITLES[net.name]: rows[net] for net in (PLAIN, FITTED)}, order=ORDER, caption=note
        ),
        "epochs": plot_protocols_over_training(
            training,
            {"plain": "plain images, certified", "fresh/pyhessian": "fresh draws, PyHessian"},
            switch_epoch=drw_switch(last),
            caption=f"CE+DRW. {note}",
        ),
        "sam": plot_protocols(
            _shared(trained), order=ORDER, caption=f"Class {TAIL}. {losses} {note}"
        ),
        "seeds": plot_protocols(
            _shared({TITLES[name]: _by_seed(rows, name) for name in SEVERAL_SEEDS}),
            order=ORDER,
            caption=f"Class {TAIL}, epoch {last}. ResNet-20, CIFAR-10-LT.",
        ),
        "density": plot_density(
            {
                said: next(r for a in fitted[name] for r in a.records if r.label == TAIL)
                for said, name in (
                    ("β after orthogonalising", "fresh"),
                    ("PyHessian", "fresh/pyhessian"),
                )
            },
            protocol=AnalysisProtocol(loss="ce", images="fresh", split="train"),
        ),
    }
    theorem = folder / "theorem" / "theorem.json"
    if theorem.exists():
        drawn["theorem"] = plot_theorem(load_theorem(theorem))
    return [
        path
        for name, figure in drawn.items()
        for path in save_figure(figure, images / f"tail-saddles-{name}", ("png",))
    ]


def _by_training(rows: Mapping[Network, list[ProtocolRow]]) -> dict[str, list[ProtocolRow]]:
    """Return seed 0 of every way to train whose results are stored, by titles of two lines."""
    return {
        title.replace(", ", "\n", 1): rows[Network(name)]
        for name, title in TITLES.items()
        if Network(name) in rows
    }


def _by_seed(rows: Mapping[Network, list[ProtocolRow]], name: str) -> list[ProtocolRow]:
    """Return the tail's rows of all seeds of one way to train, as if seeds were classes."""
    return [
        replace(row, label=f"seed {network.seed}")
        for network in sorted(n for n in rows if n.name == name)
        for row in _tail(rows[network])
    ]


def _tail(rows: Iterable[ProtocolRow]) -> list[ProtocolRow]:
    return [row for row in rows if row.label == TAIL]


def _loss(rows: Iterable[ProtocolRow]) -> float:
    return float(next(row.loss for row in rows if row.protocol == "plain"))


def _shared(panels: Mapping[str, list[ProtocolRow]]) -> dict[str, list[ProtocolRow]]:
    """Return the rows of the classes and protocols that every panel has."""
    pairs = [{(r.label, r.protocol) for r in rows} for rows in panels.values()]
    everywhere = set.intersection(*pairs)
    return {
        name: [r for r in rows if (r.label, r.protocol) in everywhere]
        for name, rows in panels.items()
    }
