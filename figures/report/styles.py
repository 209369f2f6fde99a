"""Which runs and classes a report has, and how each looks wherever it is drawn."""

import re
from collections.abc import Iterable, Sequence

from figures.report.contents import LabelStyle, RunStyle
from figures.report.found_results import FoundAnalysis
from figures.style.class_colours import class_colours, class_styles, counts_of
from figures.style.colours import SeriesStyle, series_styles
from figures.style.names import class_number
from spectra import Analysis, CheckpointIdentity, LossAnalysis, SolverSettings
from spectra.results.groups.by_size import HEAD_MID_TAIL, MANY_MEDIUM_FEW
from spectra.system.foreign_text import short_name

GROUPS = (*HEAD_MID_TAIL, *MANY_MEDIUM_FEW)
_LAST = (*GROUPS, "overall", "objective")


def runs_of(found: Sequence[FoundAnalysis]) -> list[int]:
    """Return to which run each analysis belongs, counted from 0 in the order they come.

    A run is a recipe and a seed, or a network of one name, under one choice of number format,
    images of each class, engine and seed of the probes. Files of others whose names differ by
    their epoch alone, as ``net_10.pth`` and ``net_20.pth`` do, are one network. Where two networks
    share all of these and an epoch, and are not the same, the folder of the file sets them apart.
    """
    weights: dict[tuple[object, ...], set[str]] = {}
    for one in found:
        known = one.analysis.checkpoint
        weights.setdefault((*_identity(one.analysis), known.epoch), set()).add(str(known.digest))
    torn = {key[:-1] for key, digests in weights.items() if len(digests) > 1}
    places: dict[tuple[object, ...], int] = {}
    runs = []
    for one in found:
        key = _identity(one.analysis)
        key = (*key, one.folder) if key in torn else key
        runs.append(places.setdefault(key, len(places)))
    return runs


def run_styles(found: Sequence[FoundAnalysis], runs: Sequence[int]) -> tuple[RunStyle, ...]:
    """Return what each run is called, and how it is drawn."""
    first = [found[list(runs).index(k)] for k in range(max(runs, default=-1) + 1)]
    texts = _told_apart(first)
    styles = series_styles([str(k) for k in range(len(first))])
    return tuple(
        RunStyle(
            text=text,
            recipe=_name(one.analysis.checkpoint.recipe),
            seed=one.analysis.checkpoint.seed,
            switch_epoch=one.analysis.checkpoint.switch_epoch,
            colour=style.colour,
            dash=_dash(style),
            marker=style.marker,
        )
        for one, text, style in zip(first, texts, styles.values(), strict=True)
    )


def label_styles_of(found: Iterable[FoundAnalysis]) -> tuple[LabelStyle, ...]:
    """Return every class from the most images to the fewest, and the groups after them."""
    analyses = [one.analysis for one in found]
    records: dict[str, LossAnalysis] = {}
    for record in (record for analysis in analyses for record in analysis.records):
        records.setdefault(record.label, record)
    counts = counts_of(analyses)
    images = {label: _images(record, counts) for label, record in records.items()}
    sizes = {label: n or 0 for label, n in images.items()}
    groups = {c: name for name, classes in _classes_of_groups(analyses).items() for c in classes}
    styles = class_styles(list(records), counts)
    on_dark = class_colours(list(records), counts, dark=True)

    def place(label: str) -> tuple[int, int, int, str]:
        last = _LAST.index(label) if label in _LAST else -1
        return last, -sizes[label], class_number(label), label

    return tuple(
        LabelStyle(
            name=label,
            text=f"class {label}" if label.isdecimal() else short_name(label),
            group=groups.get(class_number(label)) if label.isdecimal() else None,
            images=images[label],
            colour=styles[label].colour,
            colour_on_dark=on_dark[label],
            dash=_dash(styles[label]),
            marker=styles[label].marker,
        )
        for label in sorted(records, key=place)
    )


def group_styles_of(found: Iterable[FoundAnalysis]) -> tuple[LabelStyle, ...]:
    """Return the groups that classes are in, from the most images to the fewest."""
    analyses = [one.analysis for one in found]
    names = list(_classes_of_groups(analyses))
    styles, on_dark = class_styles(names), class_colours(names, dark=True)
    return tuple(
        LabelStyle(
            name=name,
            text=short_name(name),
            group=None,
            images=None,
            colour=styles[name].colour,
            colour_on_dark=on_dark[name],
            dash=_dash(styles[name]),
            marker=styles[name].marker,
        )
        for name in names
    )


def _classes_of_groups(analyses: Iterable[Analysis]) -> dict[str, tuple[int, ...]]:
    """Return the classes of each group: as results of many state them, or as groups' losses do."""
    stated: dict[str, tuple[int, ...]] = {}
    for analysis in analyses:
        for group in analysis.protocol.class_groups:
            stated.setdefault(group.name, group.classes)
        for record in analysis.records:
            if record.label in GROUPS:
                stated.setdefault(record.label, record.classes)
    return dict(sorted(stated.items(), key=lambda one: _group_place(one[0])))


def _group_place(name: str) -> int:
    return GROUPS.index(name) if name in GROUPS else len(GROUPS)


def _identity(analysis: Analysis) -> tuple[object, ...]:
    known = analysis.checkpoint
    return _network(known), known.recipe, known.seed, *_choices(analysis)


def _network(known: CheckpointIdentity) -> str:
    """Return a checkpoint's name without its epoch at either end; of our recipes as it is."""
    if known.recipe is not None or known.epoch is None:
        return known.name
    number = rf"0*{known.epoch}"
    at_end, at_start = rf"(?:[-_=. ]+|(?<=epoch)|(?<=ep)){number}$", rf"^{number}[-_=. ]+"
    return re.sub(f"{at_end}|{at_start}", "", known.name)


def _choices(analysis: Analysis) -> tuple[str, ...]:
    """Return what else sets the numbers of one network apart, in words."""
    protocol, solver = analysis.protocol, analysis.protocol.solver or SolverSettings()
    most = protocol.images_per_class
    return (
        str(protocol.dtype or "float32"),
        "all images" if most is None else f"{most} images of each class",
        f"engine {solver.engine}",
        f"probes of seed {solver.seed}",
    )


def _told_apart(first: Sequence[FoundAnalysis]) -> list[str]:
    """Return a name of each run: its recipe, with the seed or more where several share it."""
    known = [one.analysis.checkpoint for one in first]
    plain = [_name(k.recipe or _network(k)) or "a network" for k in known]
    seeds = ["" if k.seed is None else f", seed {k.seed}" for k in known]
    seeded = [text + seed for text, seed in zip(plain, seeds, strict=True)]
    choices = [_choices(one.analysis) for one in first]
    differ = [k for k, each in enumerate(zip(*choices, strict=True)) if len(set(each)) > 1]
    chosen = [", ".join((t, *(c[k] for k in differ))) for t, c in zip(plain, choices, strict=True)]
    both = [", ".join((t, *(c[k] for k in differ))) for t, c in zip(seeded, choices, strict=True)]
    named = [f"{t} ({_name(_network(k))})" for t, k in zip(both, known, strict=True)]
    folders = [one.file.rpartition("/")[0] for one in first]
    placed = [f"{t} ({_name(folder)})" for t, folder in zip(both, folders, strict=True)]
    for texts in (plain, seeded, chosen, both, named, placed):
        if len(set(texts)) == len(texts):
            return texts
    return [f"{text}, {k}" for k, text in enumerate(named, 1)]


def _name(text: str | None) -> str | None:
    return None if text is None else short_name(text)


def _images(record: LossAnalysis, counts: Sequence[int]) -> int | None:
    """Return the training images of a loss, where the checkpoint says those of each class."""
    if not counts or max(record.classes, default=0) >= len(counts):
        return None
    return sum(counts[c] for c in record.classes)


def _dash(style: SeriesStyle) -> tuple[float, ...]:
    return () if isinstance(style.line, str) else tuple(map(float, style.line[1]))
