"""Results to draw, and what a figure shows of them."""

from dataclasses import replace

from spectra import Analysis, LossAnalysis, Spectrum, decide
from spectra.results.provenance import AnalysisProtocol, CheckpointIdentity

PROTOCOL = AnalysisProtocol(split="train", loss="ce", reduction="mean", images="plain")
LOW, HIGH = -23.0, 60.0


def record_of(
    spectrum: Spectrum | None, label="8", *, low=LOW, high=HIGH, n=50, grad_norm=0.5,
    converged=True, classes=None, accuracy=None,
) -> LossAnalysis:  # fmt: skip
    verdict = decide(
        lambda_min=low,
        lambda_max=high,
        grad_norm=grad_norm,
        converged=converged,
        largest_converged=converged,
    )
    return LossAnalysis(
        label=label, classes=classes or ((int(label),) if label.isdigit() else (0, 1)), n=n,
        factor=1.0, loss=0.1, fit_accuracy=0.9, lambda_min=low, lambda_max=high,
        residual_min=0.0, residual_max=0.0, converged=converged, steps=40,
        grad_norm=grad_norm, grad_along_vmin=0.1, spectrum=spectrum, verdict=verdict,
        accuracy=accuracy,
    )  # fmt: skip


def analysis(*records, epoch=200, seed=0, **protocol) -> Analysis:
    checkpoint = CheckpointIdentity(
        name=f"run-{seed}-{epoch}", epoch=epoch, recipe="ce-drw", seed=seed
    )
    return Analysis(checkpoint, replace(PROTOCOL, **protocol), records)


def line(axes, label):
    found = [one for one in axes.lines if one.get_label() == label]
    assert len(found) == 1, f"{len(found)} lines are labelled {label!r}"
    return found[0]


def texts(fig):
    return "\n".join(t.get_text() for ax in fig.axes for t in ax.texts)
