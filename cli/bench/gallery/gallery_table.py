"""The gallery's table, and its JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cli.bench.gallery.whole_costs import GalleryRow, WholeCost
from cli.bench.machine import MachineFacts

COLUMNS = (
    "network", "parameters", "way", "ours s", "median", "of which building", "PyHessian s",
    "median", "ratio", "ratio of medians", "errors", "remark",
)  # fmt: skip


def cells(rows: Sequence[GalleryRow]) -> list[list[str]]:
    """Return the cells under :data:`COLUMNS`."""
    return [
        [
            row.name,
            str(row.parameters),
            row.way,
            _seconds(row.ours, "shortest"),
            _seconds(row.ours, "median"),
            _seconds(row.ours, "build"),
            _seconds(row.peer, "shortest"),
            _seconds(row.peer, "median"),
            _ratio(row.ratio),
            _ratio(row.ratio_medians),
            f"{_error(row.ours)}, {_error(row.peer)}" + ("" if row.agrees else " WRONG"),
            row.remark,
        ]
        for row in rows
    ]


def footnote(num_samples: int, num_products: int, rounds: int, dtype: str) -> str:
    """Return the settings that the table holds under."""
    return (
        f"processor seconds of building and {num_products} products, {num_samples} samples, "
        f"{dtype}, one thread, {rounds} rounds in turn; ours with its checks; PyHessian's way: the "
        "gradient with its graph once, then a torch.autograd.grad for each product; ratio: ours "
        "over PyHessian's, below 1 we are faster; errors: of a product, ours and PyHessian's, "
        "against a float64 double backward"
    )


def as_plain(rows: Sequence[GalleryRow], machine: MachineFacts) -> dict[str, Any]:
    """Return the object that ``--json`` prints."""
    return {
        "machine": asdict(machine),
        "networks": [
            {
                **asdict(row),
                "ratio": row.ratio,
                "ratio_medians": row.ratio_medians,
            }
            for row in rows
        ],
    }


def _seconds(cost: WholeCost | None, which: str) -> str:
    return "-" if cost is None else f"{getattr(cost, which):.3g}"


def _error(cost: WholeCost | None) -> str:
    return "-" if cost is None else f"{cost.error:.0e}"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"
