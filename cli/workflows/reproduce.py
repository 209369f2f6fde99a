"""The paper's tables and figures as named studies, our numbers beside the published ones."""

import json
import statistics
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from checkpoints import Checkpoint, DataRequest, ImageData, load_checkpoint, load_data, train
from checkpoints.data import head_mid_tail
from checkpoints.data.sources import DATA_VARIABLE, data_folder
from checkpoints.resume import load_history
from cli.workflows.analyze import library_versions
from cli.workflows.losses import AnalysisRequest
from cli.workflows.protocols import compare_protocols, comparison_rows
from cli.workflows.theorem import TheoremRequest, measure_theorem, theorem_to_dict
from cli.workflows.threads import suitable_threads
from cli.workflows.training import TrainRequest, training_job
from spectra import Analysis, SolverSettings
from spectra.errors import InputError
from spectra.files import write_json

FORMAT = "spectra.reproduction"
SCHEMA = 1
SIZES = ("smoke", "cpu", "full")
NOT_RUN = "not run"
_FOLDER = resources.files("cli") / "studies" / "reproduce"
# Keys of a size's table that are not fields of a recipe.
_SIZE_KEYS = (
    "recipes", "seeds", "arch", "n_max", "note", "values", "images_per_class", "num_steps",
    "num_batches",
)  # fmt: skip

RunProgress = Callable[[str, str, int, int], None]


@dataclass(frozen=True)
class Reproduction:
    """One study at one size.

    Attributes:
        name: of the study.
        size: ``smoke``, ``cpu`` or ``full``.
        title: what it reproduces.
        kind: ``accuracy``, ``spectra`` or ``theorem``.
        data: ``cifar10`` or ``cifar100``.
        published: rows of numbers by name.
        source: where those come from.
        settings: the size's own: recipes, seeds, arch, epochs ...
        classes: losses to analyze.
        images: protocols to analyze them under.
        vary: a recipe field that takes the size's ``values`` in turn; None: none does.
        every_epoch: analyze all kept checkpoints, not the last alone.
        density: whether densities are wanted, not extremes alone.
    """

    name: str
    size: str
    title: str
    kind: str
    data: str
    published: Mapping[str, Mapping[str, Any]]
    source: str
    settings: Mapping[str, Any]
    classes: str = "all"
    images: tuple[str, ...] = ("plain",)
    vary: str | None = None
    every_epoch: bool = False
    density: bool = False


def study_names() -> list[str]:
    """Return the names of the studies."""
    return sorted(p.name.removesuffix(".toml") for p in _FOLDER.iterdir() if p.name[-5:] == ".toml")


def load_reproduction(name: str, size: str) -> Reproduction:
    """Read a study's description.

    Raises:
        InputError: there is no such study or size.
    """
    if name not in study_names():
        raise InputError(f"unknown study {name!r}; expected one of {', '.join(study_names())}")
    if size not in SIZES:
        raise InputError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
    plain = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    published = dict(plain.pop("published"))
    settings = plain.pop(size)
    for other in SIZES:
        plain.pop(other, None)
    plain["images"] = tuple(plain.get("images", ("plain",)))
    return Reproduction(
        name=name, size=size, source=published.pop("source"), published=published,
        settings=settings, **plain,
    )  # fmt: skip


def reproduction_data(study: Reproduction, source: str | None) -> DataRequest:
    """Return where the images come from.

    Without CIFAR a ``smoke`` run takes the digits.

    Raises:
        InputError: there is no CIFAR and the size needs it.
    """
    n_max = study.settings.get("n_max")
    if source is not None:
        taken_as_is = source.startswith("npz:") and n_max is None
        return DataRequest(source, None if taken_as_is else "exp", None, n_max)
    if data_folder() is not None:
        return DataRequest(study.data, n_max=n_max)
    if study.size == "smoke":
        return DataRequest("digits", n_max=n_max)
    raise InputError(
        f"size {study.size} needs {study.data}: give --data or set {DATA_VARIABLE} "
        f"('spectra data fetch {study.data}' downloads it); smoke runs on digits without it"
    )


@dataclass(frozen=True)
class Run:
    """One network of a study.

    Attributes:
        row: what its seeds share: recipe, and the field that is varied.
        recipe: name.
        seed: of the training.
        overrides: recipe fields.
        folder: of its checkpoints.
    """

    row: str
    recipe: str
    seed: int
    overrides: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class ReproductionResult:
    """What a study gave.

    Attributes:
        plain: the content of ``result.json``.
        analyses: by run and protocol, over the epochs analyzed; kind ``spectra`` alone.
        theorems: by run; kind ``theorem`` alone.
    """

    plain: dict[str, Any]
    analyses: Mapping[str, Mapping[str, Sequence[Analysis]]]
    theorems: Mapping[str, Mapping[str, Any]]


def run_reproduction(
    study: Reproduction,
    folder: Path,
    *,
    source: str | None = None,
    device: str = "cpu",
    on_progress: RunProgress | None = None,
) -> ReproductionResult:
    """Train and measure; write ``folder/result.json``. What an earlier call finished is kept.

    Args:
        study: which, and at which size.
        folder: where all of it goes.
        source: of the data, see :class:`DataRequest`; None: CIFAR where ``SPECTRA_DATA`` says, else
            for ``smoke`` the digits.
        device: torch device.
        on_progress: called with (run, what, done, planned).

    Raises:
        InputError: the data is missing, or the folder holds another study.
    """
    request = reproduction_data(study, source)
    data = load_data(request)
    _claim(study, data, folder)
    runs = _runs(study, folder)
    analyses: dict[str, dict[str, list[Analysis]]] = {}
    theorems: dict[str, dict[str, Any]] = {}
    measured: list[dict[str, Any]] = []
    with suitable_threads(data):
        for run in runs:
            name = f"{run.row} seed {run.seed}"
            paths = _train(study, run, request, data, device, on_progress)
            if study.kind == "accuracy":
                measured.append({"row": run.row, "seed": run.seed, **_accuracy(run, data)})
                continue
            wanted = paths if study.every_epoch else paths[-1:]
            for path in wanted:
                checkpoint = load_checkpoint(str(path))
                report = _reporter(on_progress, name)
                if study.kind == "theorem":
                    theorems[name] = _theorem(study, checkpoint, data, device, report)
                    measured += _theorem_rows(run, theorems[name])
                    continue
                found = _compare(study, run, checkpoint, data, device, folder, on_progress)
                for protocol, analysis in found.items():
                    analyses.setdefault(name, {}).setdefault(protocol, []).append(analysis)
                measured += [
                    {"row": f"{run.row} class {row['class']}", "seed": run.seed,
                     "epoch": checkpoint.epoch, **row}
                    for row in comparison_rows(found)
                ]  # fmt: skip
        versions = library_versions()
    plain = {
        "format": FORMAT,
        "schema": SCHEMA,
        "study": study.name,
        "size": study.size,
        "data": data.name,
        "title": study.title,
        "note": study.settings.get("note"),
        "source": study.source,
        "versions": versions,
        "rows": _beside_published(study, measured),
        "runs": measured,
    }
    write_json(folder / "result.json", plain)
    return ReproductionResult(plain, analyses, theorems)


def _runs(study: Reproduction, folder: Path) -> list[Run]:
    runs = []
    fields = {key: v for key, v in study.settings.items() if key not in _SIZE_KEYS}
    for recipe in study.settings["recipes"]:
        for value in study.settings["values"] if study.vary else (None,):
            row = recipe if value is None else f"{recipe} {study.vary} {value:g}"
            overrides = dict(fields)
            if study.vary:
                overrides[study.vary] = value
            for seed in study.settings["seeds"]:
                place = folder / "training" / f"{row.replace(' ', '-')}-seed{seed}"
                runs.append(Run(row, recipe, int(seed), overrides, place))
    return runs


def _train(
    study: Reproduction,
    run: Run,
    request: DataRequest,
    data: ImageData,
    device: str,
    on_progress: RunProgress | None,
) -> list[Path]:
    wanted = TrainRequest(
        run.recipe, request, study.settings["arch"], run.overrides, run.seed,
        None if study.every_epoch else (),
    )  # fmt: skip
    job = training_job(wanted, run.folder, data=data)

    def on_epoch(epoch: int, _: dict[str, Any]) -> None:
        if on_progress:
            on_progress(f"{run.row} seed {run.seed}", "train", epoch, job.recipe.epochs)

    return train(job, device=device, resume=True, on_epoch=on_epoch)


_ACCURACIES = ("overall", "head", "mid", "tail", "best_on_test")


def _accuracy(run: Run, data: ImageData) -> dict[str, Any]:
    """Return test accuracies of the last epoch in per cent, and the best overall beside them."""
    history = [h["test"] for h in load_history(run.folder / "resume.safetensors") if h.get("test")]
    if not history:
        nothing: dict[str, Any] = dict.fromkeys(_ACCURACIES)
        return nothing
    last = history[-1]["accuracy"]
    groups = head_mid_tail(data.class_counts)
    found: dict[str, Any] = {"overall": 100 * statistics.fmean(last)}
    for name, classes in groups.items():
        found[name] = 100 * statistics.fmean(last[c] for c in classes) if classes else None
    best = max(statistics.fmean(h["accuracy"]) for h in history)
    return {**found, "best_on_test": 100 * best}


def _request(study: Reproduction, device: str) -> AnalysisRequest:
    solver: dict[str, Any] = {"num_probes": 1 if study.density else 0}
    if "num_steps" in study.settings:
        solver["num_steps"] = study.settings["num_steps"]
    return AnalysisRequest(
        classes=study.classes,
        images_per_class=study.settings.get("images_per_class"),
        device=device,
        solver=SolverSettings(**solver),
    )


def _compare(
    study: Reproduction,
    run: Run,
    checkpoint: Checkpoint,
    data: ImageData,
    device: str,
    folder: Path,
    on_progress: RunProgress | None,
) -> dict[str, Analysis]:
    def report(protocol: str, label: str, done: int, planned: int) -> None:
        if on_progress:
            what = f"epoch {checkpoint.epoch} {protocol} class {label}"
            on_progress(f"{run.row} seed {run.seed}", what, done, planned)

    return compare_protocols(
        checkpoint,
        data,
        _request(study, device),
        folder=folder / "analyses" / run.folder.name / f"epoch-{checkpoint.epoch:04d}",
        protocols=study.images,
        on_progress=report,
    )


def _theorem(
    study: Reproduction,
    checkpoint: Checkpoint,
    data: ImageData,
    device: str,
    report: Callable[[str, int, int], None],
) -> dict[str, Any]:
    request = TheoremRequest(
        _request(study, device), num_batches=study.settings.get("num_batches", 50)
    )
    found = measure_theorem(checkpoint, data, request, on_progress=report)
    return theorem_to_dict(checkpoint, request, found)


def _theorem_rows(run: Run, plain: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "row": f"{run.row} class {one['label']} rho {batch['rho']:g}",
            "seed": run.seed,
            "lambda_min": one["lambda_min"],
            "grad_norm": one["grad_norm"],
            "critical_rho": one["critical_rho"],
            "measured": batch["measured"]["estimate"],
            "measured_lower": batch["measured"]["lower"],
            "measured_upper": batch["measured"]["upper"],
            "predicted": batch["predicted"]["estimate"],
            "theorem": batch["theorem"],
            "undetermined": batch["undetermined"],
        }
        for one in plain["classes"]
        for batch in one["batches"]
    ]


def _beside_published(
    study: Reproduction, measured: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row for each published or measured name and protocol: ours, theirs, difference."""
    last = max((m.get("epoch") or 0 for m in measured), default=0)
    final = [m for m in measured if (m.get("epoch") or 0) in (0, last)]
    ours: dict[tuple[str, str | None], list[Mapping[str, Any]]] = {}
    for one in final:
        ours.setdefault((one["row"], one.get("protocol")), []).append(one)
    names = list(dict.fromkeys([*study.published, *(name for name, _ in ours)]))
    rows = []
    for name in names:
        published = study.published.get(name, {})
        mine = [(key, values) for key, values in ours.items() if key[0] == name]
        if not mine:
            mine = [((name, None), [])]
        rows += [
            {
                "row": name,
                "protocol": protocol,
                "state": "run" if found else NOT_RUN,
                "values": _values(published, found),
            }
            for (_, protocol), found in mine
        ]
    return rows


_SKIPPED = ("row", "seed", "epoch", "class", "protocol", "verdict", "undetermined", "n")


def _values(
    published: Mapping[str, Any], found: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    keys = [*published, *(k for one in found for k in one if k not in _SKIPPED)]
    table = {}
    for key in dict.fromkeys(keys):
        theirs = published.get(key)
        pair = theirs if isinstance(theirs, list) else [theirs]
        values = [one[key] for one in found if one.get(key) is not None]
        mean = statistics.fmean(values) if values else None
        table[key] = {
            "ours": mean,
            "ours_sd": statistics.stdev(values) if len(values) > 1 else None,
            "seeds": len(values),
            "published": pair[0],
            "published_sd": pair[1] if len(pair) > 1 else None,
            "difference": None if mean is None or pair[0] is None else mean - pair[0],
        }
    return table


def _reporter(on_progress: RunProgress | None, name: str) -> Callable[[str, int, int], None]:
    def report(what: str, done: int, planned: int) -> None:
        if on_progress:
            on_progress(name, what, done, planned)

    return report


def _claim(study: Reproduction, data: ImageData, folder: Path) -> None:
    """Write what the folder is of, or check that it is of the same."""
    path = folder / "study.json"
    mine = json.loads(json.dumps({**asdict(study), "images_of": data.description}))
    if path.exists():
        if json.loads(path.read_text(encoding="utf-8")) != mine:
            raise InputError(f"{folder} holds another study, size or data; choose another -o")
        return
    write_json(path, mine)
