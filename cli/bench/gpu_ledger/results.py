"""What a run has found: items, steps and the whole, frozen, and their form in JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 1
RESULTS = "results.json"
# Of an item that ran to its end, and of one that the limit cut: a repeated run goes on with it.
DONE, STOPPED = "done", "stopped"
_KEYS = ("status", "reason", "seconds", "said", "peak_bytes")


@dataclass(frozen=True)
class Item:
    """One thing that a step does.

    Attributes:
        status: ``done``, ``stopped`` (the limit cut it), ``skipped`` (no time), ``failed`` or
            ``not here``.
        reason: why it is not done.
        seconds: that it took, the card waited for; None: it was not begun.
        said: what the libraries warned of.
        peak_bytes: of the card's memory; None: on the CPU.
        found: its numbers by name, as :func:`plain` has them.
    """

    status: str
    reason: str | None = None
    seconds: float | None = None
    said: tuple[str, ...] = ()
    peak_bytes: int | None = None
    found: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_result(self) -> bool:
        """Whether there are numbers."""
        return self.status in (DONE, STOPPED)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form: the numbers beside the rest."""
        known: dict[str, Any] = {
            "status": self.status,
            "reason": self.reason,
            "seconds": self.seconds,
            "said": list(self.said) or None,
            "peak_bytes": self.peak_bytes,
        }
        return {**{k: v for k, v in known.items() if v is not None}, **self.found}

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> "Item":
        """Read what :meth:`to_dict` returned."""
        known = {key: written[key] for key in _KEYS if key in written}
        known["said"] = tuple(known.get("said", ()))
        return cls(**known, found={k: v for k, v in written.items() if k not in _KEYS})


@dataclass(frozen=True)
class StepResults:
    """One step.

    Attributes:
        name: of the step.
        status: ``running``, ``done``, ``stopped`` (the limit came first), ``skipped``, ``failed``.
        reason: why it was not done, or not all of it.
        seconds: that its items took, in whichever run.
        items: by name.
    """

    name: str
    status: str
    reason: str | None
    seconds: float
    items: Mapping[str, Item]

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form."""
        return {
            "name": self.name,
            "status": self.status,
            "reason": self.reason,
            "seconds": self.seconds,
            "items": {key: item.to_dict() for key, item in self.items.items()},
        }


@dataclass(frozen=True)
class SuiteResults:
    """One run, as ``results.json`` holds it.

    Attributes:
        status: ``running``, ``done``, ``stopped`` (some items had no time) or ``aborted`` (wrong
            products or trainings).
        reason: what was cut, failed or wrong.
        seconds: since its start.
        limit: of the seconds.
        identity: what finished items depend on: references, sizes, versions, device.
        steps: those that have begun, by name.
        table: the short table for a person.
    """

    status: str
    reason: str | None
    seconds: float
    limit: float
    identity: Mapping[str, Any]
    steps: Mapping[str, StepResults]
    table: tuple[tuple[str, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form."""
        return {
            "schema": SCHEMA,
            "status": self.status,
            "reason": self.reason,
            "seconds": self.seconds,
            "limit": self.limit,
            "identity": self.identity,
            "steps": {name: step.to_dict() for name, step in self.steps.items()},
            "table": [list(row) for row in self.table],
        }


def plain(value: Any) -> Any:
    """Return ``value`` as strict JSON has it: no tuples; what is not finite as a word.

    ``float`` reads such a word back.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and value - value != 0.0:
        return str(value)  # inf or nan
    return value
