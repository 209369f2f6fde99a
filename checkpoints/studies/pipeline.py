"""Run a study from training to results, unit by unit, so that a killed one goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from checkpoints.analysis.request import AnalysisRequest
from checkpoints.analysis.trajectory import analyze_trajectory, damaged_results
from checkpoints.data import ImageData, load_data
from checkpoints.load import LoadOptions
from checkpoints.studies.check_study import check_study
from checkpoints.studies.claimed_folder import claim_folder, refuse_damaged
from checkpoints.studies.study import Study, load_study
from checkpoints.training.execution import EXACT, Execution
from checkpoints.training.job import TrainingJob
from checkpoints.training.request import TrainRequest, training_job
from checkpoints.training.run import damaged_run, train_job
from checkpoints.training.threads import suitable_threads
from spectra import Analysis
from spectra.classes.identity import library_versions
from spectra.results.study_result import StudyResult, save_study_result
from spectra.system.files.lock import locked
from spectra.system.files.names import file_name
from spectra.system.files.places import writing_under
from spectra.system.progress import Progress, within


def run_study(
    study: Study | str | Path,
    folder: str | Path | None = None,
    *,
    device: str = "cpu",
    execution: Execution = EXACT,
    on_progress: Progress | None = None,
) -> StudyResult:
    """Train, analyze, and write ``folder/results.json``; skip what an earlier call finished.

    A study that was killed at any moment and started again writes the same bytes as one that was
    not (same CPU, same number of threads).

    Args:
        study: what to do, or the TOML file that says it.
        folder: of the study; must not hold another one. None: ``runs/NAME``.
        device: torch device for training and analysis.
        execution: how training passes are computed.
        on_progress: called with (``ce-seed0 epoch 100 class 8`` say, steps done, steps planned).

    Raises:
        InputError: the folder holds another study, another process works on it, the study does
            not fit the data, or files that were written are gone or damaged at its end.
    """
    if not isinstance(study, Study):
        study = load_study(Path(study))
    folder = Path("runs") / file_name(study.name) if folder is None else Path(folder)
    data = load_data(study.data)
    units = [
        _Unit(study, folder, data, recipe, seed, device, execution, on_progress)
        for recipe in study.recipes
        for seed in study.seeds
    ]
    check_study(study, data, [unit.job() for unit in units])
    analyses: list[Analysis] = []
    trajectories: list[Analysis] = []
    written: dict[Path, list[Analysis]] = {}
    with suitable_threads(data), writing_under(folder), locked(folder):
        _claim(study, folder)
        for unit in units:
            kept = unit.train()
            for split in study.splits:
                place = unit.place_of("analyses", split)
                written[place] = unit.analyze(study.request, split, place, kept[-1:])
                analyses += written[place]
            if study.trajectory is not None:
                split = study.trajectory.split
                place = unit.place_of("trajectories", split)
                written[place] = unit.analyze(study.trajectory, split, place, kept)
                trajectories += written[place]
        _check_all_there(folder, units, written)
        versions = library_versions()
        result = StudyResult(study.name, tuple(analyses), tuple(trajectories), versions)
        save_study_result(folder / "results.json", result)
    return result


@dataclass(frozen=True)
class _Unit:
    """One recipe and seed of a study."""

    study: Study
    folder: Path
    data: ImageData
    recipe: str
    seed: int
    device: str
    execution: Execution
    on_progress: Progress | None

    @property
    def run(self) -> str:
        return f"{self.recipe}-seed{self.seed}"

    @property
    def _place(self) -> str:
        """The name of its folders."""
        return f"{file_name(self.recipe)}-seed{self.seed}"

    @property
    def run_folder(self) -> Path:
        return self.folder / "training" / self._place

    def job(self) -> TrainingJob:
        """Put the training together."""
        study = self.study
        request = TrainRequest(
            recipe=self.recipe,
            data=study.data,
            arch=study.arch,
            overrides=study.overrides_of(self.recipe),
            seed=self.seed,
            keep_epochs=study.keep_epochs,
            execution=self.execution,
        )
        return training_job(request, self.run_folder, data=self.data)

    def train(self) -> tuple[int, ...]:
        """Train, or finish training, and return the epochs that are kept."""
        job = self.job()

        def trained(_: str, epoch: int, epochs: int) -> None:
            if self.on_progress:
                self.on_progress(f"{self.run} train", epoch, epochs)

        train_job(job, device=self.device, resume=True, repair=True, on_progress=trained)
        return job.kept

    def place_of(self, kind: str, split: str) -> Path:
        """Return where results of a kind go."""
        return self.folder / kind / self._place / file_name(split)

    def analyze(
        self, request: AnalysisRequest, split: str, place: Path, epochs: tuple[int, ...]
    ) -> list[Analysis]:
        """Analyze the run's checkpoints of ``epochs``."""
        return analyze_trajectory(
            str(self.run_folder),
            replace(request, split=split, device=self.device),
            folder=place,
            epochs=epochs,
            options=LoadOptions(arch=self.study.arch),
            data=self.data,
            on_progress=within(self.on_progress, self.run),
        )


def _check_all_there(
    folder: Path, units: Sequence[_Unit], written: Mapping[Path, Sequence[Analysis]]
) -> None:
    """Raise InputError where a file of the study is not what was written."""
    wrong = [each for unit in units for each in damaged_run(unit.job())]
    for place, analyses in written.items():
        wrong += damaged_results(place, analyses)
    refuse_damaged(folder, wrong)


def _claim(study: Study, folder: Path) -> None:
    """Write the study's description, or check that the folder's is the same."""
    claim_folder(
        folder,
        asdict(study),
        other=f"{folder} holds another study of this name; choose another -o, or remove it",
    )
