"""A study: recipes x seeds x checkpoints x classes, described by a TOML file."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from checkpoints.analysis.request import AnalysisRequest
from checkpoints.data import DataRequest
from checkpoints.recipes.families import PAPER_RECIPES
from spectra import SolverSettings
from spectra.errors import InputError
from spectra.results.study import StudyResult

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
    density_classes: tuple[str, ...] = ("head", "tail", "overall")

    def overrides_of(self, recipe: str) -> dict[str, Any]:
        """Return the fields to change in ``recipe``."""
        return {**self.overrides, **self.recipe_overrides.get(recipe, {})}

    def groups_in(self, result: StudyResult) -> dict[str, tuple[int, ...]]:
        """Return head, mid and tail as the study means them, in the data of its result."""
        return self.request.groups_of(result.analyses[0].checkpoint.class_counts)


def load_study(path: Path) -> Study:
    """Read a study.

    Tables: ``[data]`` (fields of DataRequest), ``[train]`` (recipes, seeds, arch, keep_epochs,
    and recipe fields), ``[train.RECIPE]`` (fields of one recipe), ``[analyze]`` (splits, fields
    of AnalysisRequest and SolverSettings; at the last epoch), ``[trajectory]`` (fields likewise;
    at every kept epoch, on ``split``; what it leaves out is as in [analyze], but without density
    and float64 passes, warm-started from epoch to epoch), ``[figures]`` (density_classes).

    Raises:
        InputError: not TOML, or a key that no table has.
    """
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read study {path}: {error}") from error
    if not plain:
        raise InputError(f"study {path} is empty; give it at least a table such as [train]")
    try:
        return _study(plain, default_name=path.stem)
    except (TypeError, ValueError) as error:
        raise InputError(f"study {path}: {error}") from error


def _study(plain: dict[str, Any], *, default_name: str) -> Study:
    name = str(plain.pop("name", default_name))
    tables = {key: plain.pop(key, {}) for key in ("data", "train", "analyze", "figures")}
    trajectory = plain.pop("trajectory", None)
    if plain:
        raise InputError(
            f"unknown key {next(iter(plain))!r}; expected name, data, train, analyze, trajectory "
            "or figures"
        )
    train, analyze = tables["train"], tables["analyze"]
    recipes = _names_in(train.pop("recipes", PAPER_RECIPES), "recipes")
    keep = train.pop("keep_epochs", None)
    splits = _names_in(analyze.pop("splits", ("train",)), "splits")
    if trajectory is not None:
        trajectory = _request({**analyze, **TRAJECTORY_SOLVER, **trajectory}, "trajectory")
    return Study(
        name=name,
        data=_build(DataRequest, tables["data"], "data"),
        recipes=recipes,
        seeds=_integers(train.pop("seeds", (0,)), "seeds"),
        arch=train.pop("arch", None),
        keep_epochs=None if keep is None else _integers(keep, "keep_epochs"),
        recipe_overrides={key: train.pop(key) for key in list(train) if key in recipes},
        overrides=train,
        splits=splits,
        request=_request(analyze, "analyze"),
        trajectory=trajectory,
        **{key: tuple(value) for key, value in _known(Study, tables["figures"], "figures").items()},
    )


def _names_in(values: Any, key: str) -> tuple[str, ...]:
    return _list_of(values, key, "names", lambda value: isinstance(value, str))


def _integers(values: Any, key: str) -> tuple[int, ...]:
    what = "integers >= 0 such as [0, 1]"
    return _list_of(values, key, what, lambda value: type(value) is int and value >= 0)


def _list_of(values: Any, key: str, what: str, fits: Callable[[Any], bool]) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple) or not values or not all(map(fits, values)):
        raise InputError(f"{key} must be a list of {what}, got {values!r}")
    return tuple(values)


def _request(values: dict[str, Any], table: str) -> AnalysisRequest:
    solver = {key: value for key, value in values.items() if key in _names(SolverSettings)}
    rest = {key: value for key, value in values.items() if key not in solver}
    request: AnalysisRequest = _build(AnalysisRequest, rest, table)
    return replace(request, solver=SolverSettings(**solver))


def _build(kind: Any, values: dict[str, Any], table: str) -> Any:
    return kind(**_known(kind, values, table))


def _known(kind: Any, values: dict[str, Any], table: str) -> dict[str, Any]:
    unknown = set(values) - _names(kind)
    if unknown:
        raise InputError(
            f"unknown key {table}.{min(unknown)}; expected one of {', '.join(sorted(_names(kind)))}"
        )
    return values


def _names(kind: Any) -> set[str]:
    return {f.name for f in fields(kind)}
