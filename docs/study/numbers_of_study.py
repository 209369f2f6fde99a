"""The names that the study's templates may use: results by network, and tables of them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drawing import PAPER
from losses_told import losses_told
from recurrence_runs import recurrence_runs
from scipy.stats import chi2
from stored import Measured, Network, StoredResults
from tables import headline_table, networks_table, protocols_table, training_table
from wording import sig

from spectra.results.directions.theorem_result import load_theorem
from spectra.results.protocol_rows import ProtocolRow


def numbers_of(results: StoredResults, folder: Path) -> dict[str, Any]:
    """Return what templates may name.

    Args:
        results: all that are stored.
        folder: where they lie, and what is stored beside them in files of its own.
    """

    def found(
        name: str, epoch: int, label: int, protocol: str = "plain", *, seed: int = 0, draws: int = 0
    ) -> Measured:
        return results.one(Network(name, seed), epoch, label, protocol, draws=draws)

    def row(
        name: str, epoch: int, label: int, protocol: str = "plain", *, seed: int = 0, draws: int = 0
    ) -> ProtocolRow:
        return found(name, epoch, label, protocol, seed=seed, draws=draws).row

    def over_seeds(of: str, name: str, epoch: int, label: int, protocol: str) -> list[float]:
        return [getattr(row(name, epoch, label, protocol, seed=s), of) for s in (0, 1, 2)]

    def over_draws(of: str, name: str, epoch: int, label: int, protocol: str) -> list[float]:
        return [getattr(row(name, epoch, label, protocol, draws=s), of) for s in (0, 1, 2)]

    def accuracy(recipe: str, epoch: int) -> dict[str, Any]:
        stored = json.loads((folder / "r32-accuracy.json").read_text("utf-8"))["networks"]
        return next(x for x in stored if (x["recipe"], x["epoch"]) == (recipe, epoch))

    def over_masses(name: str, epoch: int, label: int, protocol: str) -> list[float]:
        return [mass(found(name, epoch, label, protocol, draws=s)) for s in (0, 1, 2)]

    def frozen_told(name: str, epoch: int, label: int) -> str:
        told = [
            f"{sig(m.row.ratio)} ({m.protocol})"
            for m in results.of(Network(name), epoch)
            if m.label == str(label) and m.protocol.startswith("frozen")
        ]
        return " and ".join(told)

    accuracies = json.loads((folder / "r20-accuracy.json").read_text("utf-8"))["networks"]
    last = {one["network"]: (one["overall"], one["tail"]) for one in accuracies}
    names: dict[str, Callable[..., Any]] = {
        "found": found,
        "row": row,
        "accuracy": accuracy,
        "frozen_told": frozen_told,
        "mass": mass,
        "bending_at_most": lambda titles: bending_at_most(results, titles),
        "without_mass": lambda protocol, ratio: without_mass(results, protocol, ratio),
        "over_masses": over_masses,
        "chance": lambda carried: float(chi2.cdf(carried, 1)),
        "accuracy_of": lambda name: last[name],
        "over_seeds": over_seeds,
        "over_draws": over_draws,
        "protocols_table": lambda name, epoch: protocols_table(results.rows(Network(name), epoch)),
        "networks_table": lambda titles, label: networks_table(results, titles, str(label)),
        "training_table": lambda name: training_table(results, Network(name)),
        "headline_table": lambda titles, labels: headline_table(results, titles, labels),
        "exists": lambda name: (folder.parent / name).exists(),
        "drawn": lambda name: (folder.parent / "images" / f"tail-saddles-{name}.png").exists(),
        "stored": lambda name: json.loads((folder / name).read_text("utf-8")),
    }
    script = tomllib.loads((folder / "script.toml").read_text("utf-8"))
    return {
        **names,
        "others": other_classes(results, PAPER),
        "recurrences": recurrence_runs(folder / "recurrences"),
        "script": script,
        "script_rows": _script_rows(script),
        "losses": losses_told(folder / "loss" / "rows.json"),
        "theorem": _theorem(folder / "theorem" / "theorem.json"),
    }


def mass(measured: Measured) -> float:
    """Return P × weight of the lowest node: about 1 where it belongs to an eigenvalue."""
    return measured.check.lowest.mass


@dataclass(frozen=True)
class OtherClasses:
    """The paper's own network after its last epoch, classes beside the tail's.

    Attributes:
        rows: what is stored of the images held fixed.
        missing: the classes that are not, for a sentence.
    """

    rows: tuple[Measured, ...]
    missing: str

    @property
    def largest(self) -> Measured:
        """The one of the largest ratio."""
        return max(self.rows, key=lambda m: m.row.ratio or 0.0)


def other_classes(results: StoredResults, titles: dict[str, str]) -> OtherClasses:
    """Return what the headline has beside class 8.

    Args:
        results: all that are stored.
        titles: the networks, by their names.
    """
    rows, missing = [], []
    for name, title in titles.items():
        network = Network(name)
        at_end = results.of(network, max(results.epochs(network)))
        here = [m for m in at_end if m.protocol == "plain" and m.label != "8"]
        lacking = sorted(set("0123456789") - {"8"} - {m.label for m in here})
        rows += here
        if lacking:
            missing.append(f"{title}: {', '.join(lacking)}")
    return OtherClasses(tuple(rows), "; ".join(missing))


def bending_at_most(results: StoredResults, titles: dict[str, str]) -> float:
    """Return the largest part of what a step lowers that is due to bending, over networks.

    Args:
        results: all that are stored.
        titles: the networks, by their names.
    """
    shares = [
        m.record.bending.share
        for m in results.measured
        if m.network.name in titles and m.protocol == "plain" and m.record.bending is not None
    ]
    return max(shares)


def without_mass(results: StoredResults, protocol: str, ratio: float) -> tuple[int, int]:
    """Return of how many results an end carries no mass, and how many there are.

    Args:
        results: all that are stored.
        protocol: images and recurrence.
        ratio: those with a |λmin/λmax| above it count.
    """
    found = [m for m in results.measured if m.protocol == protocol and m.row.ratio > ratio]
    return sum(bool(m.check.massless) for m in found), len(found)


def _script_rows(script: dict[str, Any]) -> list[tuple[str, str, float | None]]:
    """Return what the paper's script said: title, name of our run of the same, its ratio."""
    rows = [
        (f"fresh draws, seed {k}", f"longer-8-fresh-seed{k}", ratio)
        for k, ratio in enumerate(script["longer"])
    ]
    return [
        *rows,
        ("one draw, held fixed", "longer-8-frozen1", script["longer_frozen"]),
        ("plain images", "longer-8-plain", script["longer_plain"]),
        ("60 epochs, fresh draws", "ce-drw-60-8-fresh", script["epoch_60"]),
        ("late SAM, fresh draws", "sam-rho01-8-fresh", script["sam"]),
        ("class 0, 500 images, fresh draws", "longer-0-500-fresh", script["class_0_of_500"]),
        ("class 0, 83 images, fresh draws", "longer-0-83-fresh", script["class_0_of_83"]),
    ]


def _theorem(path: Path) -> dict[str, Any]:
    return {report.label: report for report in load_theorem(path).classes}
