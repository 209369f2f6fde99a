"""Analyze every checkpoint of a run: spectra over training."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from checkpoints.analysis.analyze import analyze
from checkpoints.analysis.data_of import data_for
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.analysis.warm import WarmStarts
from checkpoints.data import ImageData
from checkpoints.load import LoadOptions, list_checkpoints, load_checkpoint
from checkpoints.recipes.schedules import drw_switch
from spectra import Analysis, save_analysis
from spectra.system.files.names import file_name
from spectra.system.progress import Progress, within


def analyze_trajectory(
    run: str,
    request: AnalysisRequest,
    *,
    folder: Path,
    source: str | None = None,
    options: LoadOptions | None = None,
    epochs: Sequence[int] | None = None,
    data: ImageData | None = None,
    on_progress: Progress | None = None,
) -> list[Analysis]:
    """Analyze the checkpoints of a run in the order of training.

    Each checkpoint's result goes to ``folder/epoch-0100.json`` as soon as it is there, each
    loss's to ``folder/units``; what is there already is not computed again. Where only extremes are
    asked for (no probes), each checkpoint starts from the eigenvectors of the one before, which are
    kept in ``folder/warm`` until the last is done.

    Args:
        run: a run's folder or ``bundled:...``.
        request: what to compute of each.
        folder: where results go.
        source: of the data, where the checkpoints do not say.
        options: for files of others.
        epochs: which; None: all.
        data: already read data, to save reading it again.
        on_progress: called with (``epoch 100 class 8`` say, steps done, steps planned).
    """
    found = list_checkpoints(run)
    if epochs is not None:
        found = [(epoch, path) for epoch, path in found if epoch in set(epochs)]
    analyses = []
    before: str | None = None
    warm_folder = folder / "warm"
    for epoch, path in found:
        checkpoint = load_checkpoint(path, options)
        if checkpoint.epoch is None:
            checkpoint = replace(checkpoint, epoch=epoch)
        if data is None:
            data, _ = data_for(checkpoint, source)
        name = file_name(path.stem) if epoch is None else f"epoch-{epoch:04d}"
        warm = None
        if request.solver.extremes_only:
            warm = WarmStarts(warm_folder, before, name)
        analysis = analyze(
            checkpoint,
            data,
            request,
            units=folder / "units" / name,
            warm=warm,
            on_progress=within(on_progress, f"epoch {checkpoint.epoch}"),
        )
        save_analysis(folder / f"{name}.json", analysis)
        analyses.append(analysis)
        before = name
    shutil.rmtree(warm_folder, ignore_errors=True)
    return analyses


def switch_epoch(analysis: Analysis) -> int | None:
    """Return after how many epochs re-weighting set in, or None where the recipe has no DRW."""
    fields = analysis.checkpoint.recipe_fields or {}
    epochs = fields.get("epochs")
    if fields.get("weighting") != "drw" or not isinstance(epochs, int):
        return None
    return drw_switch(epochs)


def switch_epochs(analyses: Iterable[Analysis]) -> dict[str, int]:
    """Return the epoch at which re-weighting set in, by the recipes in which it did."""
    found = {str(analysis.checkpoint.recipe): switch_epoch(analysis) for analysis in analyses}
    return {recipe: epoch for recipe, epoch in found.items() if epoch is not None}


def common_switch(analyses: Iterable[Analysis]) -> int | None:
    """Return the epoch at which re-weighting set in wherever it did; None if there are several."""
    switches = {switch_epoch(analysis) for analysis in analyses} - {None}
    return switches.pop() if len(switches) == 1 else None
