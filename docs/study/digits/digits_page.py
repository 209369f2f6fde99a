"""What the documents say of the digits, from the stored summary of the study."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from filling import filled

from digits.digits_summary import (
    GROUPS,
    DigitsSummary,
    StudiedLoss,
    geometric_mean,
    in_group,
    load_summary,
)

# Templates: of docs/digits.md, and of its part of docs/findings.md.
PAGE, PART = "digits.md.jinja", "findings.md.jinja"
SUMMARY = "summary.json"
RECIPES = ("ce-drw", "ce-drw-sam", "vs", "vs-sam")
SPLITS = {"train": "train", "test": "held out"}


def texts(folder: Path) -> dict[str, str]:
    """Return the text of both templates as the stored summary gives it.

    Args:
        folder: of the templates and the summary.
    """
    summary = load_summary(folder / SUMMARY)
    values = {
        "accuracies": _accuracies(summary),
        "spectra": _spectra(summary),
        "jump": _jump(summary),
        "losses": len(summary.losses),
        "verdicts": _counted(one.verdict for one in summary.losses),
        "larger": _larger(summary),
        "tail": _Group([one for one in summary.losses if one.label in "789"]),
        "head": _Group([one for one in summary.losses if one.label in "012"]),
        "seeds": {r: len(summary.runs(r, "test")) for r in RECIPES},
    }
    return {name: filled((folder / name).read_text("utf-8"), values) for name in (PAGE, PART)}


class _Group:
    """What the classes of one group have in common, over recipes, seeds and images."""

    def __init__(self, losses: list[StudiedLoss]) -> None:
        self.count = len(losses)
        self.largest_ratio = _short(max(one.ratio for one in losses))
        self.bounded = sum(one.largest_ratio is not None for one in losses)
        self.largest_bound = _short(max(one.largest_ratio or 0.0 for one in losses))
        shares = [one.bending for one in losses if one.bending is not None]
        self.most_bending = f"{100 * max(shares):.2g}"
        self.bent = sum(share > 0.01 for share in shares)
        lowered = [one.lowered for one in losses if one.lowered is not None]
        self.lowered = f"{100 * statistics.median(lowered):.0f}"


def _accuracies(summary: DigitsSummary) -> str:
    lines = ["| recipe | seeds | accuracy | head | mid | tail |", "|---|---|---|---|---|---|"]
    for recipe in RECIPES:
        runs = summary.runs(recipe, "test")
        if not runs:
            lines.append(f"| {recipe} | not run | | | | |")
            continue
        cells = [
            _mean_sd(
                [100 * statistics.fmean(one.accuracy or 0.0 for one in part) for part in parts]
            )
            for parts in (
                [[one for g in GROUPS for one in in_group(run, g)] for run in runs],
                *([in_group(run, group) for run in runs] for group in GROUPS),
            )
        ]
        lines.append(f"| {recipe} | {len(runs)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spectra(summary: DigitsSummary) -> str:
    columns = (
        "images", "recipe", "seeds", r"\|λmin/λmax\|", "runs with tail > head", "λmin", "λmax",
        "‖g‖", "loss",
    )  # fmt: skip
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for split, title in SPLITS.items():
        for recipe in RECIPES:
            runs = summary.runs(recipe, split)
            if not runs:
                continue
            cells = [title, recipe, str(len(runs))]
            head, tail = (
                [one for run in runs for one in in_group(run, g)] for g in ("head", "tail")
            )
            for k, of in enumerate((_ratio, _lowest, _highest, _slope, _loss)):
                ends = [_short(geometric_mean(part, of)) for part in (head, tail)]
                cells.append(" / ".join(f"{'−' if of is _lowest else ''}{end}" for end in ends))
                if k == 0:
                    cells.append(f"{sum(map(_tail_is_larger, runs))} of {len(runs)}")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _larger(summary: DigitsSummary) -> dict[str, str]:
    found = {}
    for split in SPLITS:
        runs = [run for recipe in RECIPES for run in summary.runs(recipe, split)]
        found[split] = f"{sum(map(_tail_is_larger, runs))} of {len(runs)}"
        factors = [_factor(run) for run in runs]
        found[f"{split}_factors"] = f"{_short(min(factors))} to {_short(max(factors))}"
    return found


def _jump(summary: DigitsSummary) -> str:
    """Return the tail's median ratio before and after the switch, and the ranges over seeds."""
    said = []
    for epoch in (160, 161):
        ratios = [
            one.ratio
            for one in summary.epochs
            if (one.recipe, one.label, one.epoch) == ("ce-drw", "tail", epoch)
        ]
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        said.append(f"{_short(middle)} ({_short(low)} to {_short(high)})")
    return " → ".join(said)


def _tail_is_larger(run: list[StudiedLoss]) -> bool:
    return _factor(run) > 1


def _factor(run: list[StudiedLoss]) -> float:
    head, tail = (geometric_mean(in_group(run, group), _ratio) for group in ("head", "tail"))
    return tail / head


def _ratio(one: StudiedLoss) -> float:
    return one.ratio


def _lowest(one: StudiedLoss) -> float:
    return one.lambda_min


def _highest(one: StudiedLoss) -> float:
    return one.lambda_max


def _slope(one: StudiedLoss) -> float:
    return one.grad_norm


def _loss(one: StudiedLoss) -> float:
    return one.loss


def _mean_sd(values: list[float]) -> str:
    mean = f"{statistics.fmean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def _short(value: float) -> str:
    """Return two significant digits, without the zero before the point."""
    text = f"{value:#.2g}" if value < 10 else f"{value:.0f}"
    if "e" in text:
        text = f"{value:.{1 - _exponent(value)}f}"
    return text.removeprefix("0").rstrip(".") or "0"


def _exponent(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())
