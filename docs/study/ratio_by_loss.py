"""When each part of the published protocol acts: its ratio against the loss of the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from figures.style.colours import GUIDE
from figures.style.page import finish_page
from figures.style.sheet import house_style
from spectra.results.plain import from_plain, read_document, to_plain
from spectra.system.files.writing import write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT, SCHEMA = "spectra.study.loss", 1


@dataclass(frozen=True)
class LossRow:
    """One class of one network: |λmin/λmax| by several ways, after as many steps.

    Attributes:
        network: its checkpoint.
        label: of the class; the others are ratios.
        n: images.
        loss: mean loss over plain images.
        certified: of the Hessian over plain images, Rayleigh quotients of float64 products.
        plain_published: PyHessian's recurrence in its arithmetic, over plain images.
        plain_without_millionth: the same without the 1e-6 in its norms.
        plain_twice: in float32 with the 1e-6, every vector orthogonalised twice.
        plain_float64: in float64 with the 1e-6, every vector orthogonalised once.
        fresh_published: as plain_published, over fresh draws.
        fresh_before: fresh draws, β before orthogonalising, in float64, twice.
        fresh_after: the same run, β after orthogonalising.
    """

    network: str
    label: str
    n: int
    loss: float
    certified: float
    plain_published: float
    plain_without_millionth: float
    plain_twice: float
    plain_float64: float
    fresh_published: float
    fresh_before: float
    fresh_after: float


@dataclass(frozen=True)
class LossRows:
    """Every class.

    Attributes:
        num_steps: of each run.
        rows: a class of a network each.
    """

    num_steps: int
    rows: tuple[LossRow, ...]


# Marks of the figure: field, what it is called, marker, colour, whether it is filled.
_MARKS = (
    ("certified", "the Hessian, certified", "o", "#222222", True),
    ("fresh_after", "fresh draws, β after", "s", "#4477aa", False),
    ("plain_published", "plain images, PyHessian's recurrence", "v", "#ccbb44", False),
    ("fresh_published", "fresh draws, PyHessian's recurrence", "^", "#cc3311", False),
)


def save_losses(path: Path, found: LossRows) -> None:
    """Write the rows."""
    write_json(path, {"format": FORMAT, "schema": SCHEMA, **to_plain(found)})


def load_losses(path: Path) -> LossRows:
    """Read the rows.

    Raises:
        InputError: they are not there, or not as written.
    """
    plain = read_document(
        path, what="the study's ratios by loss", format_name=FORMAT, newest=SCHEMA
    )
    return from_plain(plain, LossRows, origin=str(path))


def plot_ratio_against_loss(rows: Sequence[LossRow], *, num_steps: int) -> Figure:
    """Draw |λmin/λmax| of each class against its loss, both on logarithmic axes.

    Args:
        rows: a class of a network each.
        num_steps: of the runs, for the caption.
    """
    with house_style() as sheet:
        fig = sheet.page(6.75, 3.2)
        ax = fig.subplots()
        handles = []
        for field, name, marker, colour, filled in _MARKS:
            (line,) = ax.plot(
                [row.loss for row in rows],
                [getattr(row, field) for row in rows],
                marker=marker,
                color=colour,
                mfc=colour if filled else "none",
                ls="none",
                ms=4,
                label=name,
            )
            handles.append(line)
        ax.axhline(1, color=GUIDE, lw=0.7, zorder=1)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("loss of the class, plain images")
        ax.set_ylabel("|λmin/λmax|")
        return finish_page(
            fig,
            caption=f"A mark is a class of a network; {num_steps} steps. Filled: certified. "
            "Hollow: Ritz values of one run, unchecked.",
            legend=handles,
        )
