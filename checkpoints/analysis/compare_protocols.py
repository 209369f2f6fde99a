"""One checkpoint under several choices of images, side by side."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from checkpoints.analysis.analyze import analyze
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.data import ImageData, ImageProtocol
from checkpoints.data.views import FRESH
from spectra import Analysis, save_analysis
from spectra.errors import InputError
from spectra.krylov.defaults import PUBLISHED_STEPS
from spectra.system.files.lock import locked
from spectra.system.files.names import file_name
from spectra.system.progress import Progress, within

# Several K, because few draws exaggerate both extremes. Both recurrences, on images that stay and
# on images that do not: PyHessian takes β before it orthogonalises against all former vectors, ours
# after, and products that change leave much to orthogonalise.
PROTOCOLS = (
    "plain", "plain/pyhessian", "frozen:1", "frozen:4", "frozen:16", "fresh", "fresh/pyhessian",
)  # fmt: skip
# Engines that a protocol may name after a slash.
_ENGINES = ("", "pyhessian")


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
    num_steps: int | None = None,
    on_progress: Progress | None = None,
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
        num_steps: of ``fresh`` and ``/pyhessian``; None: 100, as published. The others take the
            request's.
        on_progress: called with (``fresh class 8`` say, steps done, steps planned).

    Returns:
        The result by protocol.

    Raises:
        InputError: the request does not fit, or another process writes to the folder.
    """
    with locked(folder):
        return _compared(checkpoint, data, request, folder, protocols, num_steps, on_progress)


def _compared(
    checkpoint: Checkpoint,
    data: ImageData,
    request: AnalysisRequest,
    folder: Path,
    protocols: Sequence[str],
    num_steps: int | None,
    on_progress: Progress | None,
) -> dict[str, Analysis]:
    found = {}
    published = PUBLISHED_STEPS if num_steps is None else num_steps
    for k, name in enumerate(protocols, 1):
        images, _, engine = name.partition("/")
        slug = file_name(name.replace(":", "-").replace("/", "-"))
        asked, as_published = request.solver, bool(engine) or images == FRESH
        solver = replace(
            asked,
            engine=engine or "spectra",
            num_probes=1 if as_published else asked.num_probes,
            num_steps=published if as_published else asked.num_steps,
            probe="rademacher" if as_published else asked.probe,
            certify_below=asked.certify_below and images != FRESH,  # nothing is, of no matrix
            stationary=False if as_published else asked.stationary,
            search_radius=None if as_published else asked.search_radius,
            search_products=None if as_published else asked.search_products,
        )
        analysis = analyze(
            checkpoint,
            data,
            replace(request, images=images, solver=solver),
            units=folder / "units" / slug,
            on_progress=within(on_progress, name, part=k, of=len(protocols)),
        )
        save_analysis(folder / f"{slug}.json", analysis)
        found[name] = analysis
    return found
