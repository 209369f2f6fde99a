"""The short table at the end of a run."""

from collections.abc import Mapping
from typing import Any

from cli.bench.gpu_ledger.ledger import Ledger
from cli.bench.gpu_ledger.step import Step

COLUMNS = ("what", "of", "found")
Rows = list[list[str]]


def summary_rows(ledger: Ledger) -> Rows:
    """Return what a person wants to know first: cells under :data:`COLUMNS`."""
    rows: Rows = []
    for name, part in (
        ("card", _card),
        ("correctness", _correctness),
        ("tunings", _tunings),
        ("executions", _executions),
        ("products", _products),
        ("extremes", _classes),
        ("small losses", _small_losses),
        ("densities", _classes),
        ("trainings", _trainings),
        ("networks", _networks),
    ):
        step = ledger.find(name)
        if step is None:
            continue
        rows += part(step)
        if step.reason is not None:
            rows.append([name, step.status, step.reason])
    return rows


def _done(step: Step) -> dict[str, Mapping[str, Any]]:
    return {key: item.found for key, item in step.items.items() if item.has_result}


def _card(step: Step) -> Rows:
    items = _done(step)
    rows: Rows = []
    if "versions" in items:
        facts = items["versions"]
        rows.append(["card", str(facts["gpu"] or facts["cpu"]), f"torch {facts['torch']}"])
    if "launches" in items:
        rows.append(["card", "a launch", f"{items['launches']['microseconds']:.2g} µs"])
    for kind in ("float32", "float64"):
        if f"convolutions, {kind}" in items:
            rate = items[f"convolutions, {kind}"]["flops"]
            rows.append(["card", f"convolutions in {kind}", f"{rate / 1e12:.3g} TFLOP/s"])
    return rows


def _correctness(step: Step) -> Rows:
    errors = {key: float(item["error"]) for key, item in _done(step).items()}
    if not errors:
        return []
    worst = max(errors, key=lambda key: errors[key])
    return [
        ["error against float64", f"largest of {len(errors)}", f"{errors[worst]:.1e} ({worst})"]
    ]


def _tunings(step: Step) -> Rows:
    """Return, for each way, its errors and its speed on the largest subject."""
    items = _done(step)
    subjects = list(dict.fromkeys(key.partition(": ")[2] for key in items))
    rows: Rows = []
    for way in dict.fromkeys(key.partition(": ")[0] for key in items):
        mine = [(s, items[f"{way}: {s}"]) for s in subjects if f"{way}: {s}" in items]
        error = max(float(item["error"]) for _, item in mine)
        gains = ", ".join(
            f"{items[f'eager: {s}']['several_ms'] / item['several_ms']:.2f}"
            for s, item in mine
            if f"eager: {s}" in items
        )
        fell_back = any(step.items[f"{way}: {s}"].said for s, _ in mine)
        note = " (fell back)" if fell_back else ""
        rows.append(["products", way, f"error {error:.1e}; {gains} times as fast as eager{note}"])
    return rows


def _executions(step: Step) -> Rows:
    return [
        [
            "training steps",
            key,
            f"{item['images_per_second']:.0f} images/s, error {float(item['error']):.1e}",
        ]
        for key, item in _done(step).items()
    ]


def _products(step: Step) -> Rows:
    rows: Rows = []
    for size, item in _done(step).items():
        for row in item["rows"]:
            wrong = "" if row["agrees"] else ", WRONG"
            found = (
                f"{row['median_ms']:.3g} ms an image, {row['ratio_medians']:.2f} times ours{wrong}"
            )
            rows.append([f"products, {size}", f"{row['peer']} {row['mode']}", found])
    return rows


def _classes(step: Step) -> Rows:
    items = [i for key, i in step.items.items() if key.startswith("class ") and i.has_result]
    if not items:
        return []
    converged = sum(bool(item.found["converged"]) for item in items)
    images = sum(item.found["n"] for item in items)
    seconds = sum(item.seconds or 0.0 for item in items)
    return [
        [
            step.name,
            f"{len(items)} classes, {images} images",
            f"{seconds:.1f} s, {converged} converged",
        ]
    ]


def _small_losses(step: Step) -> Rows:
    return [
        [
            "small losses",
            f"{item['losses']} of {key.partition(' a ')[0]}",
            f"{item['block_seconds']:.3g} s each in a block, {item['in_turn_seconds']:.3g} s one "
            f"after the other; λmax differs by {item['lambda_max_differs']:.1e}",
        ]
        for key, item in _done(step).items()
    ]


def _trainings(step: Step) -> Rows:
    return [
        [
            "training",
            f"{key}, {item['way']}",
            f"{item['epochs']} of {item['planned']} epochs, {item['training_seconds']:.0f} s",
        ]
        for key, item in _done(step).items()
    ]


def _networks(step: Step) -> Rows:
    rows: Rows = []
    for key, item in _done(step).items():
        if "ratio" not in item:  # of test images
            rows.append(["accuracy", key, f"{100 * item['overall']:.1f} %"])
            continue
        ratio = "-" if item["ratio"] is None else f"{item['ratio']:.3g}"
        rows.append(["|λmin/λmax|", key, ratio])
    return rows
