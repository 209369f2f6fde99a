"""One checkpoint under several choices of images, side by side."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from checkpoints.analysis.analyze import analyze_checkpoint
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.data import ImageData, ImageProtocol
from checkpoints.data.views import FRESH
from spectra import Analysis, LossAnalysis, product_noise, save_analysis
from spectra.errors import InputError

# Several K, because few draws exaggerate both extremes. Both recurrences, on images that stay and
# on images that do not: PyHessian takes β before it orthogonalises against all former vectors, ours
# after, and products that change leave much to orthogonalise.
PROTOCOLS = (
    "plain", "plain/pyhessian", "frozen:1", "frozen:4", "frozen:16", "fresh", "fresh/pyhessian",
)  # fmt: skip
# Ritz values of PyHessian's recurrence over plain images: of the Hessian, but with no residual.
ITS_NODES = "its recurrence, unchecked"

# Engines that a protocol may name after a slash.
_ENGINES = ("", "pyhessian")

ProtocolProgress = Callable[[str, str, int, int], None]


def parse_protocols(text: str) -> tuple[str, ...]:
    """Read names as in :data:`PROTOCOLS`, joined by commas.

    Raises:
        InputError: a name is unknown, or comes twice.
    """
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        images, _, engine = name.partition("/")
        ImageProtocol.parse(images)
        if engine not in _ENGINES or name.endswith("/"):
            raise InputError(f"after a protocol only /pyhessian may stand, got {name!r}")
    if not names or len(set(names)) < len(names):
        raise InputError(f"protocols must name each choice of images once, got {text!r}")
    return names


def compare_protocols(
    checkpoint: Checkpoint,
    data: ImageData,
    request: AnalysisRequest,
    *,
    folder: Path,
    protocols: Sequence[str] = PROTOCOLS,
    on_progress: ProtocolProgress | None = None,
) -> dict[str, Analysis]:
    """Analyze a checkpoint under each protocol; finished losses are not computed again.

    Args:
        checkpoint: weights.
        data: images.
        request: what else to compute; its ``images`` and engine are replaced. Under ``fresh`` one
            Rademacher probe is run, as published, and wherever PyHessian runs.
        folder: where ``NAME.json`` of each protocol goes.
        protocols: see :attr:`AnalysisRequest.images`; ``/pyhessian`` appended runs PyHessian's
            recurrence.
        on_progress: called with (protocol, label, steps done, steps planned).

    Returns:
        The result by protocol.
    """
    found = {}
    for name in protocols:
        images, _, engine = name.partition("/")
        slug = name.replace(":", "-").replace("/", "-")
        changes: dict[str, Any] = {"engine": engine or "spectra"}
        if engine or images == FRESH:  # as published
            changes |= {"num_probes": 1, "probe": "rademacher"}
        if images == FRESH:
            changes["certify_below"] = False  # of no matrix
        solver = replace(request.solver, **changes)

        def progress(label: str, done: int, planned: int, at: str = name) -> None:
            if on_progress:
                on_progress(at, label, done, planned)

        analysis = analyze_checkpoint(
            checkpoint,
            data,
            replace(request, images=images, solver=solver),
            units=folder / "units" / slug,
            on_progress=progress,
        )
        save_analysis(folder / f"{slug}.json", analysis)
        found[name] = analysis
    return found


def comparison_rows(found: dict[str, Analysis]) -> list[dict[str, Any]]:
    """Return a flat row for each loss and protocol, a loss's protocols beside each other."""
    labels = list(dict.fromkeys(r.label for a in found.values() for r in a.records))
    rows = []
    for label in labels:
        for name, analysis in found.items():
            for record in analysis.records:
                if record.label != label:
                    continue
                rows.append({"class": label, "protocol": name, **_figures(analysis, record)})
    return rows


def _figures(analysis: Analysis, record: LossAnalysis) -> dict[str, Any]:
    values: dict[str, Any] = {
        "lambda_min": record.lambda_min,
        "residual_min": record.residual_min,
        "lambda_max": record.lambda_max,
        "ratio": record.ratio,
        "lambda_min_at_most": record.certificates[0].attained if record.certificates else None,
        "verdict": record.verdict.name,
    }
    spectrum, noise = record.spectrum, record.noise
    if spectrum is not None and noise is None:
        noise = product_noise(spectrum)
        solver = analysis.protocol.solver
        if solver is not None and solver.engine == "pyhessian":
            low, high = float(spectrum.nodes[0]), float(spectrum.nodes[-1])
            values = dict.fromkeys(values) | {
                "lambda_min": low,
                "lambda_max": high,
                "ratio": abs(low / high) if high else None,
                "verdict": ITS_NODES,
            }
    return {
        "n": record.n,
        "loss": record.loss,
        **values,
        "grad_norm": record.grad_norm,
        "alpha_over_beta": noise.alpha_over_beta if noise else None,
        "asymmetry": noise.asymmetry if noise else None,
    }
