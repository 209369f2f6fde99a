"""A study: recipes x seeds x checkpoints x classes, described by a TOML file."""

import os
import shlex
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from checkpoints.analysis.request import AnalysisRequest
from checkpoints.data import DataRequest
from checkpoints.data.sources import READ
from checkpoints.recipes.families import PAPER_RECIPES
from checkpoints.recipes.recipe import field_values, recipe_fields
from spectra import SolverSettings
from spectra.errors import InputError
from spectra.results.plain import check_keys, from_plain
from spectra.results.study_result import StudyResult
from spectra.system.files.documents import read_toml

T = TypeVar("T")

# A trajectory shows extremes, not densities: one probe, carried on until they converge.
TRAJECTORY_SOLVER = {"num_probes": 0, "proof": False}


@dataclass(frozen=True)
class Study:
    """What a study trains, analyzes and draws.

    Attributes:
        name: of the study; its folder is runs/NAME unless told otherwise.
        data: images and profile.
        recipes: names.
        seeds: training seeds.
        arch: architecture; None for the data's default.
        overrides: recipe fields to change in every recipe.
        recipe_overrides: fields to change in one recipe, by its name.
        keep_epochs: checkpoints to keep; None for the default.
        splits: on which images: ``train``, ``test``, or both, one analysis each.
        request: what else to compute at the last epoch.
        trajectory: what to compute at every kept checkpoint; None: no trajectory.
        images: of which losses to find the images that carry their curvature, at the last epoch;
            None: of none.
        density_classes: losses drawn in the density figure, of the first seed.
    """

    name: str
    data: DataRequest = field(default_factory=DataRequest)
    recipes: tuple[str, ...] = PAPER_RECIPES
    seeds: tuple[int, ...] = (0,)
    arch: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    recipe_overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    keep_epochs: tuple[int, ...] | None = None
    splits: tuple[str, ...] = ("train",)
    request: AnalysisRequest = field(default_factory=AnalysisRequest)
    trajectory: AnalysisRequest | None = None
    images: AnalysisRequest | None = None
    density_classes: tuple[str, ...] = ("head", "tail", "overall")

    def __post_init__(self) -> None:
        for key, values in (
            ("seeds", self.seeds),
            ("recipes", self.recipes),
            ("splits", self.splits),
        ):
            seen: dict[str, Any] = {}
            for value in values:
                same = one_spelling(str(value))
                if same in seen:
                    again = "" if seen[same] == value else f", as {seen[same]} before"
                    raise InputError(f"{key} names {value} twice{again}; leave one out")
                seen[same] = value

    def overrides_of(self, recipe: str) -> dict[str, Any]:
        """Return the fields to change in ``recipe``."""
        return {**self.overrides, **self.recipe_overrides.get(recipe, {})}

    def groups_in(self, result: StudyResult) -> dict[str, tuple[int, ...]]:
        """Return head, mid and tail as the study means them, in the data of its result."""
        return self.request.groups_of(result.analyses[0].checkpoint.class_counts)


def one_spelling(text: str) -> str:
    """Return what two names have in common that lie at one place on some file system.

    Example:
        >>> from checkpoints.studies.study import one_spelling
        >>> one_spelling("./Own.toml") == one_spelling("own.toml")
        True
    """
    place = os.path.realpath(text) if text.endswith(".toml") else text
    return unicodedata.normalize("NFKC", place).casefold()


def load_study(path: Path, *, arch: str | None = None, source: str | None = None) -> Study:
    """Read a study.

    Tables: ``[data]`` (fields of DataRequest), ``[train]`` (recipes, seeds, arch, keep_epochs,
    and recipe fields), ``[train.RECIPE]`` (fields of one recipe), ``[analyze]`` (splits, fields
    of AnalysisRequest and SolverSettings; at the last epoch), ``[trajectory]`` (the same fields;
    at every kept epoch, on ``split``; what it leaves out is as in [analyze], but without density
    and float64 passes, warm-started from epoch to epoch), ``[images]`` (the same fields; which
    images carry the curvature of these classes at the last epoch, on ``split``), ``[figures]``
    (density_classes).

    Networks and data of the user's own are code, which runs only when the user names it: here, not
    in the file.

    Args:
        path: of the file.
        arch: in place of its ``train.arch``.
        source: in place of its ``data.source``.

    Raises:
        InputError: not TOML, a key that no table has, code that the file names, or a value that
            does not fit: ``study FILE: analyze.num_probes: expected an integer, got 'x'``.
    """
    plain = read_toml(path, what="a study")
    if not plain:
        raise InputError(f"study {path} is empty; give it at least a table such as [train]")
    origin = f"study {path}"
    try:
        study = _study(plain, default_name=path.stem, origin=origin)
        _refuse_code(study, with_arch=arch is None, with_source=source is None)
    except InputError as error:
        said = str(error)
        raise InputError(said if said.startswith(origin) else f"{origin}: {said}") from error
    return replace(
        study,
        arch=study.arch if arch is None else arch,
        data=study.data if source is None else replace(study.data, source=source),
    )


def _refuse_code(study: Study, *, with_arch: bool, with_source: bool) -> None:
    """Raise InputError where what counts of a file's network and data is code."""
    rule = "and code is not run because a file names it; name it yourself with"
    if with_arch and study.arch is not None and ":" in study.arch:
        raise InputError(f"train.arch is {study.arch}, {rule} --arch {shlex.quote(study.arch)}")
    source = study.data.source
    if with_source and source.partition(":")[0] not in READ:
        raise InputError(f"data.source is {source}, {rule} --data {shlex.quote(source)}")


def _study(plain: dict[str, Any], *, default_name: str, origin: str) -> Study:
    tables = _build(_Tables, plain, "", origin)
    train, analyze = dict(tables.train), dict(tables.analyze)
    if "split" in analyze:
        raise InputError(f"{origin}: unknown key analyze.split; did you mean splits, a list?")
    recipes = _names_in(train.pop("recipes", PAPER_RECIPES), "recipes")
    seeds = _integers(train.pop("seeds", (0,)), "seeds")
    keep = train.pop("keep_epochs", None)
    splits = _names_in(analyze.pop("splits", ("train",)), "splits")
    arch = train.pop("arch", None)
    if arch is not None:
        from_plain(arch, str, origin=origin, at="train.arch")
    own = {key: _table(train.pop(key), key, origin) for key in list(train) if key in recipes}
    for at, fields_of in (("train", train), *((f"train.{key}", own[key]) for key in own)):
        check_keys(fields_of, recipe_fields(), origin=origin, at=at)
        field_values(fields_of)
    trajectory = tables.trajectory
    if trajectory is not None:
        trajectory = {**analyze, **TRAJECTORY_SOLVER, **trajectory}
    images = None if tables.images is None else {**analyze, **tables.images}
    return Study(
        name=tables.name or default_name,
        data=_build(DataRequest, tables.data, "data", origin),
        recipes=recipes,
        seeds=seeds,
        arch=arch,
        keep_epochs=None if keep is None else _integers(keep, "keep_epochs"),
        recipe_overrides=own,
        overrides=train,
        splits=splits,
        request=_request(analyze, "analyze", origin),
        trajectory=None if trajectory is None else _request(trajectory, "trajectory", origin),
        images=None if images is None else _request(images, "images", origin),
        density_classes=_build(_Figures, tables.figures, "figures", origin).density_classes,
    )


def _table(values: Any, recipe: str, origin: str) -> dict[str, Any]:
    return from_plain(values, dict[str, Any], origin=origin, at=f"train.{recipe}")


@dataclass(frozen=True)
class _Tables:
    """The top of the file."""

    name: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    analyze: dict[str, Any] = field(default_factory=dict)
    trajectory: dict[str, Any] | None = None
    images: dict[str, Any] | None = None
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Figures:
    """The table [figures]."""

    density_classes: tuple[str, ...] = Study.density_classes


def _names_in(values: Any, key: str) -> tuple[str, ...]:
    return _list_of(values, key, "names", lambda value: isinstance(value, str))


def _integers(values: Any, key: str) -> tuple[int, ...]:
    what = "integers >= 0 such as [0, 1]"
    return _list_of(values, key, what, lambda value: type(value) is int and value >= 0)


def _list_of(values: Any, key: str, what: str, fits: Callable[[Any], bool]) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple) or not values or not all(map(fits, values)):
        raise InputError(f"{key} must be a list of {what}, got {values!r}")
    return tuple(values)


def _request(values: Mapping[str, Any], table: str, origin: str) -> AnalysisRequest:
    of_solver = _names(SolverSettings)
    known = sorted({*_names(AnalysisRequest), *of_solver} - {"solver"})
    check_keys(values, known, origin=origin, at=table)
    solver = {key: value for key, value in values.items() if key in of_solver}
    rest = {key: value for key, value in values.items() if key not in of_solver}
    request = from_plain(rest, AnalysisRequest, origin=origin, at=table)
    return replace(request, solver=from_plain(solver, SolverSettings, origin=origin, at=table))


def _build(kind: type[T], values: Mapping[str, Any], table: str, origin: str) -> T:
    """Return a table as a ``kind``, or the whole file where ``table`` is empty."""
    check_keys(values, _names(kind), origin=origin, at=table)
    return from_plain(values, kind, origin=origin, at=table)


def _names(kind: Any) -> list[str]:
    return [f.name for f in fields(kind)]
