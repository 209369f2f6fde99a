"""What a run has done: its steps in a folder, where a repeated run finds them."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.bench.gpu_ledger.results import DONE, RESULTS, SCHEMA, Item, SuiteResults, plain
from cli.bench.gpu_ledger.step import Budget, Say, Step
from spectra.system.files.writing import write_json


class Ledger:
    """The steps of a run, in a folder.

    A repeated run takes finished items from disk where they are of the same ``identity``.

    Args:
        folder: of the run.
        device: where it computes.
        budget: of the run.
        identity: what finished items depend on: references, sizes, versions, device.
        say: called with a line an item.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str,
        budget: Budget,
        identity: Mapping[str, Any],
        say: Say | None = None,
    ) -> None:
        self.folder, self.device, self.budget = folder, device, budget
        self.identity = plain({"schema": SCHEMA, **identity})
        self.say = say or _to_stderr
        self.steps: list[Step] = []
        self.status = "running"
        self.reason: str | None = None
        self.table: list[list[str]] = []
        self._before = self._kept()

    def step(self, name: str, share: float) -> Step:
        """Begin a step that has to end when ``share`` of the budget is spent."""
        path = self.folder / "steps" / f"{len(self.steps) + 1:02d}-{name}.json"
        items = self._before.get(name, {})
        step = Step(
            name, self.device, self.budget, share, path, self.identity, self.save, self.say, items
        )
        self.steps.append(step)
        step.save()
        return step

    def find(self, name: str) -> Step | None:
        """Return a step that has begun."""
        return next((step for step in self.steps if step.name == name), None)

    def save(self) -> None:
        """Rewrite the run's own file."""
        write_json(self.folder / RESULTS, plain(self.results().to_dict()))

    def results(self) -> SuiteResults:
        """Return everything that is known of the run."""
        return SuiteResults(
            self.status,
            self.reason,
            self.budget.spent,
            self.budget.seconds,
            self.identity,
            {step.name: step.results() for step in self.steps},
            tuple(tuple(row) for row in self.table),
        )

    def _kept(self) -> dict[str, dict[str, Item]]:
        """Return the finished items of an earlier run in the same folder, by step.

        From the steps' own files: those of steps that a killed run had not come to again are there.
        """
        found = {}
        for path in sorted((self.folder / "steps").glob("*.json")):
            try:
                before = json.loads(path.read_text(encoding="utf-8"))
                if before["identity"] == self.identity:
                    items = {k: Item.from_dict(v) for k, v in before["items"].items()}
                    found[before["name"]] = {k: v for k, v in items.items() if v.status == DONE}
            except (ValueError, KeyError, TypeError, AttributeError):  # damaged, or none of ours
                continue
        return found


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
