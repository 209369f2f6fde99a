"""Where the rows of a report come from: command, choices, training, hashes, versions."""

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import msgspec

from figures.report.contents import Source
from figures.report.found_results import FoundAnalysis
from spectra import Analysis, SolverSettings
from spectra.results.provenance import GAUSS_NEWTON, AnalysisProtocol
from spectra.system.foreign_text import printable, short_name

# Ours: of a description; what goes on is in the result's own file.
_LONGEST = 300
# Fields of a solver that are no flag of their own; see cli.options.analysis.WITHOUT_FLAG.
_NO_FLAG = ("floor", "max_basis")
_ALWAYS = ("num_probes", "num_steps", "seed")
_OF_COMMAND = (
    "loss", "weight_decay", "reduction", "images", "images_per_class", "dtype", "micro_chunk",
    "tuning", "radius", "tau",
)  # fmt: skip
_OF_CALL = ("tol", "max_steps", "certify_below", "top", "per_layer", "bending", "stationary")
_SWITCHES = ("proof", "bending", "stationary")


def source_of(found: FoundAnalysis) -> Source:
    """Return all that is known of one analysis."""
    analysis = found.analysis
    known = analysis.checkpoint
    return Source(
        file=found.file,
        file_digest=found.digest,
        checkpoint=short_name(known.title),
        weights_digest=known.digest,
        command=command_of(analysis),
        choices=_choices(analysis.protocol),
        training=_training(analysis),
        versions={short_name(k): short_name(v) for k, v in sorted(analysis.versions.items())},
        notes=tuple(short_name(text, _LONGEST) for text in known.notes),
    )


def command_of(analysis: Analysis) -> str:
    """Return the command that gives such a result again, CHECKPOINT or RUN in place of its path.

    What is not the default is written out, and which losses, which images and which seed. Of a
    model that was analyzed in Python, which states no split, it is a call.
    """
    protocol, known = analysis.protocol, analysis.checkpoint
    if protocol.split is None:
        return _call_of(analysis)
    along = not isinstance(known.warm_from, msgspec.UnsetType)
    labels = ",".join(short_name(record.label) for record in analysis.records)
    words = ["spectra", *(("trajectory", "RUN") if along else ("analyze", "CHECKPOINT"))]
    words += ["--classes", labels]
    plain = AnalysisProtocol(
        images="plain", loss="ce", reduction="mean", dtype="float32", radius=0.1, tau=0.001
    )
    given = {"split": protocol.split, "groups": protocol.groups}
    for name, value in (given | _unlike(protocol, plain, _OF_COMMAND)).items():
        if value is not None:
            words += [_flag(name), printable(str(value))]
    for name in protocol.parameters:
        words += ["--parameters", printable(name)]
    if protocol.matrix == GAUSS_NEWTON:
        words.append("--gauss-newton")
    if protocol.solver is not None:
        words += _solver_words(protocol.solver, along=along)
    return shlex.join(words)


def _call_of(analysis: Analysis) -> str:
    """Return the call of :func:`spectra.analyze_classes` that gives such a result again."""
    protocol, solver = analysis.protocol, analysis.protocol.solver or SolverSettings()
    labels = [int(r.label) if r.label.isdecimal() else r.label for r in analysis.records]
    plain = AnalysisProtocol(dtype="float32", radius=0.1, tau=0.001)
    asked: dict[str, Any] = {name: getattr(solver, name) for name in _ALWAYS}
    asked |= _unlike(solver, SolverSettings(), _OF_CALL)
    asked |= _unlike(protocol, plain, ("weight_decay", "images_per_class", "parameters"))
    asked |= _unlike(protocol, plain, ("micro_chunk", "radius", "tau"))
    if protocol.matrix == GAUSS_NEWTON:
        asked["gauss_newton"] = True
    written = [f"{name}={value!r}" for name, value in asked.items()]
    if protocol.dtype not in (None, "float32"):
        written.append(f"dtype=torch.{protocol.dtype}")
    return printable(f"spectra.analyze_classes(model, data, {labels!r}, {', '.join(written)})")


def _unlike(one: Any, other: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of ``one`` that are not those of ``other``."""
    pairs = [(name, getattr(one, name)) for name in names]
    return {name: value for name, value in pairs if value != getattr(other, name)}


def _solver_words(solver: SolverSettings, *, along: bool) -> list[str]:
    plain = SolverSettings(proof=not along)
    words: list[str] = []
    for field in fields(SolverSettings):
        name, value = field.name, getattr(solver, field.name)
        same = value == getattr(plain, name)
        if name in _NO_FLAG or value is None or (same and name not in _ALWAYS):
            continue
        if name in _SWITCHES:
            words.append(_flag(name) if value else _flag(f"no_{name}"))
        elif isinstance(value, bool):
            words.append(_flag(name))
        else:
            words += [_flag(name), str(value)]
    return words


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _choices(protocol: AnalysisProtocol) -> dict[str, str]:
    """Return what was chosen, by the names that people ask for it."""
    solver = protocol.solver
    named: dict[str, Any] = {
        "loss": protocol.loss,
        "weight decay": protocol.weight_decay,
        "reduction": protocol.reduction,
        "images": protocol.images,
        "split": protocol.split,
        "images of each class": protocol.images_per_class,
        "groups": protocol.groups,
        "matrix": protocol.matrix,
        "parameters": " ".join(protocol.parameters) or "all",
        "normalisation": protocol.normalisation,
        "number format": protocol.dtype,
        "device": protocol.device,
        "tuning": protocol.tuning,
        "radius r": protocol.radius,
        "tolerance τ": protocol.tau,
        "test accuracy": protocol.accuracy,
    }
    if solver is not None:
        named |= {
            "engine": solver.engine,
            "probes": solver.num_probes,
            "Lanczos steps": solver.num_steps,
            "kind of probe": solver.probe,
            "most steps": solver.max_steps,
            "seed of the probes": solver.seed,
        }
    return _told(named)


def _training(analysis: Analysis) -> dict[str, str]:
    known = analysis.checkpoint
    fields_of: Mapping[str, Any] = known.recipe_fields or {}
    data: Mapping[str, Any] = known.data or {}
    warm = None if isinstance(known.warm_from, msgspec.UnsetType) else known.warm_from
    return _told(
        {
            "recipe": known.recipe,
            "seed": known.seed,
            "epochs": known.epoch,
            **{key: value for key, value in fields_of.items() if key not in ("name", "epochs")},
            "network": known.architecture,
            "data": {key: value for key, value in data.items() if key != "digest"} or None,
            "SHA-256 of the data": data.get("digest"),
            "training images of each class": known.class_counts or None,
            "started from the eigenvectors of": warm,
        }
    )


def _told(named: Mapping[str, Any]) -> dict[str, str]:
    """Return values as text; what is not known is left out."""
    return {
        short_name(str(key)).replace("_", " "): short_name(_text(value), _LONGEST)
        for key, value in named.items()
        if value is not None
    }


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
