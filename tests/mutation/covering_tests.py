"""Which tests execute a line, and how long each takes: from one run of the suite under coverage."""

import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coverage import CoverageData
from mutants import Mutant

# Ours: what a test of a file takes that the record of times does not know, such as a renamed one.
_UNKNOWN_SECONDS = 1.0
# Ours: a test in the room of the code that it tests is likelier to fail than one elsewhere, and
# goes first where it takes no more than five times as long.
_SAME_ROOM = 0.2


@dataclass(frozen=True)
class Suite:
    """The tests of a run under coverage.

    Attributes:
        root: of the project.
        data: lines and the tests that executed them.
        seconds: of each test, by its node id, its fixtures counted.
    """

    root: Path
    data: CoverageData
    seconds: dict[str, float]

    @classmethod
    def read(cls, root: Path, coverage_file: Path, junit_file: Path) -> "Suite":
        """Read what ``pytest --cov=spectra --cov-context=test --junitxml=...`` wrote."""
        data = CoverageData(str(coverage_file))
        data.read()
        seconds = {}
        for case in ElementTree.parse(junit_file).iter("testcase"):
            path = case.get("classname", "").replace(".", "/") + ".py"
            seconds[f"{path}::{case.get('name')}"] = float(case.get("time", 0))
        return cls(root, data, seconds)

    def tests(self, mutant: Mutant, *, budget_s: float) -> list[str]:
        """Return the tests that execute a mutant, the most promising first, until they take long.

        A fixture that several tests share is executed by the first of them alone: all tests of its
        file count. A line that is executed when its file is imported counts as executed by all
        tests that execute anything of the file.
        """
        by_line = self.data.contexts_by_lineno(str(self.root / mutant.path))
        first, last = mutant.lines
        contexts = {c for line in range(first, last + 1) for c in by_line.get(line, [])}
        if "" in contexts:
            contexts = {c for found in by_line.values() for c in found}
        chosen, taken = [], 0.0
        for test in sorted(self._with_fixtures(contexts - {""}), key=self._rank(mutant)):
            taken += self._seconds(test)
            if taken > budget_s and chosen:
                break
            chosen.append(test)
        return chosen

    def files(self) -> set[str]:
        """Return the paths of the test files, from the root."""
        return {test.partition("::")[0] for test in self.seconds}

    def expected_s(self, tests: Iterable[str]) -> float:
        """Return how long tests took under coverage."""
        return sum(map(self._seconds, tests))

    def _seconds(self, test: str) -> float:
        return self.seconds.get(test, _UNKNOWN_SECONDS)

    def _with_fixtures(self, contexts: Iterable[str]) -> set[str]:
        found, of_fixtures = set(), set()
        for context in contexts:
            test, _, phase = context.rpartition("|")
            found.add(test)
            if phase == "setup":
                of_fixtures.add(test.partition("::")[0])
        of_file = defaultdict(set)
        for test in self.seconds:
            of_file[test.partition("::")[0]].add(test)
        return found.union(*(of_file[path] for path in of_fixtures))

    def _rank(self, mutant: Mutant):
        room = mutant.path.split("/")[1].removesuffix(".py")

        def rank(test: str) -> tuple[float, str]:
            near = _SAME_ROOM if test.startswith(f"tests/{room}/") else 1.0
            return near * (self._seconds(test) + 0.01), test

        return rank
