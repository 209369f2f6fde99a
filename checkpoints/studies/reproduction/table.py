"""Our numbers beside the published ones."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from checkpoints.studies.reproduction.description import Reproduction

NOT_RUN = "not run"


def beside_published(
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
