"""How much of a spectrum is negative over training, and its file ``ghorbani2019.json``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectra.errors import InputError
from spectra.findings.claims.negative_share import NegativeShare, negative_share
from spectra.results.analysis import Analysis
from spectra.results.plain import from_plain, read_document, to_plain
from spectra.system.files.writing import write_json

FORMAT = "spectra.claim.ghorbani2019"
SCHEMA = 1
CLAIM = "Late in training negative eigenvalues are a negligible part of Σ|λ|."
# Ours: under a hundredth of Σ|λ| nobody would miss them.
NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class ShareOfLoss:
    """The negative part of the spectrum of one loss at one checkpoint.

    Attributes:
        checkpoint: its name.
        epoch: epochs of training done; None where the checkpoint does not say.
        label: of the loss.
        n: images.
        loss: mean loss.
        ratio: |λmin / λmax|; None of a zero matrix.
        found: the share, with its interval.
    """

    checkpoint: str
    epoch: int | None
    label: str
    n: int
    loss: float
    ratio: float | None
    found: NegativeShare


@dataclass(frozen=True)
class NegativeShareResult:
    """The negative part of spectra over checkpoints.

    Attributes:
        shares: one for each checkpoint and loss, in the order of training.
    """

    shares: tuple[ShareOfLoss, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The losses, in their order."""
        return tuple(dict.fromkeys(share.label for share in self.shares))

    def over_training(self, label: str) -> tuple[ShareOfLoss, ...]:
        """Return the shares of one loss, in the order of training."""
        return tuple(share for share in self.shares if share.label == label)

    @property
    def sentence(self) -> str:
        """What the authors say and what is found here, at the last checkpoint of each loss."""
        return f"They say: {CLAIM} Here: {'; '.join(map(self._said_of, self.labels))}."

    def _said_of(self, label: str) -> str:
        over = self.over_training(label)
        last = over[-1]
        name = f"class {label}" if label.isdigit() else label
        before = "" if len(over) == 1 else f" from {_percent(over[0])}{_at(over[0])} to"
        upper = last.found.upper if last.found.upper is not None else last.found.share
        if upper < NEGLIGIBLE:
            verdict = "negligible"
        elif (last.found.lower or 0.0) >= NEGLIGIBLE:
            verdict = "not negligible"
        else:
            verdict = f"on neither side of {100 * NEGLIGIBLE:g} % for certain"
        half = f"{100 * last.found.half_steps:.2g} % by half of the steps"
        return f"{name}{before} {_percent(last)}{_at(last)} ({half}), {verdict}"


def _percent(share: ShareOfLoss) -> str:
    return f"{100 * share.found.share:.2g} %"


def _at(share: ShareOfLoss) -> str:
    return "" if share.epoch is None else f" at epoch {share.epoch}"


def negative_shares(analyses: Sequence[Analysis]) -> NegativeShareResult:
    """Return the negative part of every spectrum that results hold; it costs no product.

    Args:
        analyses: in the order of training, with densities.

    Raises:
        InputError: none of them holds a density.
    """
    shares = [
        ShareOfLoss(
            checkpoint=analysis.checkpoint.name,
            epoch=analysis.checkpoint.epoch,
            label=record.label,
            n=record.n,
            loss=record.loss,
            ratio=record.ratio,
            found=negative_share(record.spectrum),
        )
        for analysis in analyses
        for record in analysis.records
        if record.spectrum is not None
    ]
    if not shares:
        raise InputError(
            "no density in these results, so that nothing is known between the extremes; run "
            "'spectra analyze' with --num-probes 2 or more"
        )
    return NegativeShareResult(tuple(shares))


def negative_share_to_plain(result: NegativeShareResult) -> dict[str, Any]:
    """Return the content of ``ghorbani2019.json``, documented in docs/claims.md."""
    return {"format": FORMAT, "schema": SCHEMA, "sentence": result.sentence, **to_plain(result)}


def save_negative_share(path: str | Path, result: NegativeShareResult) -> None:
    """Write ``ghorbani2019.json`` atomically."""
    write_json(Path(path), negative_share_to_plain(result))


def load_negative_share(path: str | Path) -> NegativeShareResult:
    """Read a ``ghorbani2019.json``.

    Raises:
        InputError: not JSON, another format, a newer schema, or a value that does not fit.
    """
    what = "a ghorbani2019.json of 'spectra claim ghorbani2019'"
    plain = read_document(Path(path), what=what, format_name=FORMAT, newest=SCHEMA)
    return from_plain(plain, NegativeShareResult, origin=str(path))
