"""Analyze every checkpoint of a run: spectra over training."""

import functools
import operator
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from checkpoints.analysis.analyze import analyze
from checkpoints.analysis.data_of import data_for
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.analysis.shared_out.sharing import Sharing
from checkpoints.analysis.warm import WarmStarts
from checkpoints.data import ImageData
from checkpoints.load import LoadOptions, list_checkpoints, load_checkpoint
from spectra import Analysis, save_analysis
from spectra.errors import InputError
from spectra.results.analysis import analysis_to_json
from spectra.system.files.lock import locked
from spectra.system.files.names import file_name
from spectra.system.files.reading import read_bytes
from spectra.system.files.sealed_json import is_whole
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
    sharing: Sharing | None = None,
    on_progress: Progress | None = None,
    on_analysis: Callable[[Analysis], None] | None = None,
) -> list[Analysis]:
    """Analyze the checkpoints of a run in the order of training.

    Each checkpoint's result goes to ``folder/epoch-0100.json`` as soon as it is there, each
    loss's to ``folder/units``; what is there already is not computed again. Where only extremes are
    asked for (no probes), each checkpoint starts from the eigenvectors of the one before, which are
    kept in ``folder/warm`` until the last is done. Where a result has to be made again and those
    vectors are gone, they are made again from the first checkpoint on: the files have the bytes of
    a call that nothing befell.

    Args:
        run: a run's folder or ``bundled:...``.
        request: what to compute of each.
        folder: where results go.
        source: of the data, where the checkpoints do not say.
        options: for files of others.
        epochs: which; None: all.
        data: already read data, to save reading it again.
        sharing: what the ranks of a job share out, see
            :func:`checkpoints.analysis.shared_out.sharing.shared_out`: each returns what it has
            found itself, and keeps the losses alone. None: one process does all.
        on_progress: called with (``epoch 100 class 8`` say, steps done, steps planned).
        on_analysis: called with each checkpoint's result as soon as it is there.

    Raises:
        InputError: an epoch is not there, the request does not fit, or another process writes to
            the folder.
    """
    found = list_checkpoints(run)
    if epochs is not None:
        missing = sorted(set(epochs) - {epoch for epoch, _ in found if epoch is not None})
        if missing:
            raise InputError(f"{run} has no checkpoint of epochs {missing}; train them again")
        found = [(epoch, path) for epoch, path in found if epoch in set(epochs)]
    with locked(folder):
        along = _Trajectory(found, request, folder, source, options, data, sharing, on_progress)
        return along.analyze_all(on_analysis)


class _Trajectory:
    """The checkpoints of a run, and what is known of each so far."""

    def __init__(
        self,
        found: Sequence[tuple[int | None, Path]],
        request: AnalysisRequest,
        folder: Path,
        source: str | None,
        options: LoadOptions | None,
        data: ImageData | None,
        sharing: Sharing | None,
        on_progress: Progress | None,
    ) -> None:
        self.found, self.request, self.folder = found, request, folder
        self.source, self.options = source, options
        self.data, self.sharing, self.on_progress = data, sharing, on_progress
        self.names = [path.stem if epoch is None else f"epoch-{epoch:04d}" for epoch, path in found]
        self.analyses: dict[int, Analysis] = {}
        self.warm: dict[int, WarmStarts] = {}

    def analyze_all(self, on_analysis: Callable[[Analysis], None] | None) -> list[Analysis]:
        for k in range(len(self.found)):
            self.analyze(k)
            if on_analysis is not None and self.sharing is None:
                on_analysis(self.analyses[k])
        if self.sharing is None:  # else who gathers the results asks what the vectors are
            for warm in self.warm.values():
                warm.forget()
        return [self.analyses[k] for k in range(len(self.found))]

    def analyze(self, k: int, again: Collection[str] = ()) -> None:
        """Analyze the ``k``-th checkpoint; the losses ``again`` also where they are kept."""
        epoch, path = self.found[k]
        checkpoint = load_checkpoint(path, self.options)
        if checkpoint.epoch is None:
            checkpoint = replace(checkpoint, epoch=epoch)
        if self.data is None:
            self.data, _ = data_for(checkpoint, self.source)
        warm = self._warm(k, again) if self.request.solver.extremes_only else None
        analysis = analyze(
            checkpoint,
            self.data,
            self.request,
            units=self.folder / "units" / file_name(self.names[k]),
            warm=warm,
            sharing=self._shared(self.names[k]),
            on_progress=within(
                self.on_progress, f"epoch {checkpoint.epoch}", part=k + 1, of=len(self.found)
            ),
        )
        if self.sharing is None:
            save_analysis(self.folder / f"{file_name(self.names[k])}.json", analysis)
        self.analyses[k] = analysis
        if warm is not None:
            self.warm[k] = warm

    def _shared(self, name: str) -> Sharing | None:
        """Return how a checkpoint's losses are shared out.

        A loss that starts from the vectors of the checkpoint before is the same rank's throughout.
        """
        if self.sharing is None or self.request.solver.extremes_only:
            return self.sharing
        return self.sharing.of(name)

    def _warm(self, k: int, again: Collection[str] = ()) -> WarmStarts:
        return WarmStarts(
            self.folder / "warm",
            self.names[k - 1] if k else None,
            self.names[k],
            given=self.warm[k - 1].left if k else {},
            again=again,
            make=lambda labels: self._make_again(k - 1, labels),
        )

    def _make_again(self, k: int, labels: Collection[str]) -> None:
        """Make the vectors of some losses at the ``k``-th checkpoint, as they were made before.

        Each hangs on those before it, so that this goes back to the last that are there, which may
        be the first checkpoint.
        """
        first = k
        while first and self._warm(first).lost(labels):
            first -= 1
        for each in range(first, k + 1):
            self.analyze(each, again=labels)


def damaged_results(folder: Path, analyses: Iterable[Analysis]) -> list[str]:
    """Return what is damaged or gone of the files that :func:`analyze_trajectory` wrote.

    Args:
        folder: that it wrote to.
        analyses: that it returned, each of a checkpoint of known epoch.

    Returns:
        ``FILE is damaged or gone`` for each.
    """
    wrong = []
    for analysis in analyses:
        name = f"epoch-{analysis.checkpoint.epoch:04d}"
        right = analysis_to_json(analysis).encode()
        files: dict[Path, Callable[[bytes], bool]] = {
            folder / f"{name}.json": functools.partial(operator.eq, right)
        }
        for record in analysis.records:
            files[folder / "units" / name / f"{file_name(record.label)}.json"] = is_whole
        for path, is_right in files.items():
            try:
                whole = is_right(read_bytes(path, None))
            except InputError:
                whole = False
            if not whole:
                wrong.append(f"{path} is damaged or gone")
    return wrong


def switch_epochs(analyses: Iterable[Analysis]) -> dict[str, int]:
    """Return the epoch at which re-weighting set in, by the recipes in which it did."""
    found = {str(a.checkpoint.recipe): a.checkpoint.switch_epoch for a in analyses}
    return {recipe: epoch for recipe, epoch in found.items() if epoch is not None}


def common_switch(analyses: Iterable[Analysis]) -> int | None:
    """Return the epoch at which re-weighting set in wherever it did; None if there are several."""
    switches = {analysis.checkpoint.switch_epoch for analysis in analyses} - {None}
    return switches.pop() if len(switches) == 1 else None
