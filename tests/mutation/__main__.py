"""Mutation testing of ``spectra``: how many small mistakes do the tests notice?

``make mutants`` draws mutants, runs on each the tests that execute the changed lines, and prints
the score and what survived. Results are kept as they come, so that it can be ended and goes on.
What a survivor is worth is judged by hand, in ``judged.toml``: a mutant that computes the same is
no hole in the tests.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from covering_tests import Suite
from forked_run import Outcome, collect, run
from mutants import Mutant, sample

ROOT = Path(__file__).parents[2]
JUDGED = Path(__file__).with_name("judged.toml")
# Rooms whose tests execute ``spectra`` in their own process.
TESTS = (
    "active", "analysis", "bench/test_converged_extremes.py", "claims", "classes", "commands",
    "engines", "findings", "formats", "krylov", "landscape", "layers", "metamorphic", "objective",
    "operators", "pictures", "products", "results", "studies", "system", "training",
    "test_examples.py", "test_moved.py", "test_public_api.py",
)  # fmt: skip
# Ours: the first three seconds kill most mutants; a minute of tests is what a survivor may cost.
FIRST_S, BUDGET_S = 3.0, 60.0


@dataclass(frozen=True)
class Judgement:
    """Why a survivor is no hole in the tests.

    Attributes:
        path, line, change: which one: file, text of the first line, and what becomes what.
        reason: why no test can, or should, tell it from the original.
    """

    path: str
    line: str
    change: str
    reason: str


def main() -> int:
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    results = Results(options.folder / "results.jsonl")
    paths = sorted((ROOT / "spectra").rglob("*.py"))
    drawn = sample(ROOT, paths, count=options.count, seed=options.seed)
    if not options.report:
        suite = _suite(options.folder)
        collect(ROOT, sorted({path for path in suite.files() if (ROOT / path).exists()}))
        for i, mutant in enumerate(drawn, 1):
            if mutant.name in results.found and not options.again(results.found[mutant.name]):
                continue
            tests = suite.tests(mutant, budget_s=options.budget)
            outcome = results.sound_outcome(suite, mutant, tests, anew=options.survivors)
            results.keep(mutant, outcome, len(tests))
            print(f"{i}/{len(drawn)} {outcome.killed_by or 'SURVIVED'} | {mutant.name}", flush=True)
    print(_report(drawn, results))
    return 0


class Results:
    """Outcomes by the names of mutants, in a file of one line each, and tests known to be sound."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found: dict[str, Outcome] = {}
        self._sound: dict[str, bool] = {}
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                row = json.loads(line)
                self.found[row["mutant"]] = Outcome(row["killed_by"], row["seconds"])

    def keep(self, mutant: Mutant, outcome: Outcome, tests: int) -> None:
        self.found[mutant.name] = outcome
        row = {"mutant": mutant.name, "killed_by": outcome.killed_by, "tests": tests}
        with self._path.open("a", encoding="utf-8") as file:
            print(json.dumps({**row, "seconds": round(outcome.seconds, 1)}), file=file)

    def sound_outcome(
        self, suite: Suite, mutant: Mutant, tests: list[str], *, anew: bool
    ) -> Outcome:
        """Return what tests say of a mutant; one that fails on the original too says nothing."""
        seconds, waiting = 0.0, list(tests)
        while waiting:
            count = 1
            while count < len(waiting) and suite.expected_s(waiting[: count + 1]) <= FIRST_S:
                count += 1
            batch = waiting[:count] if len(waiting) == len(tests) else waiting
            expected_s = suite.expected_s(batch)
            outcome = run(suite.root, mutant, batch, expected_s=expected_s, anew=anew)
            seconds += outcome.seconds
            if not outcome.killed_by:
                waiting = waiting[len(batch) :]
            elif self._is_sound(suite, outcome.killed_by):
                return Outcome(outcome.killed_by, seconds)
            else:
                waiting = [test for test in waiting if test != outcome.killed_by]
        return Outcome("", seconds)

    def _is_sound(self, suite: Suite, test: str) -> bool:
        if "::" not in test:  # a time limit, a crash, or a file that cannot be imported
            return True
        if test not in self._sound:
            expected_s = suite.expected_s([test])
            self._sound[test] = not run(suite.root, None, [test], expected_s=expected_s).killed_by
        return self._sound[test]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("mutants", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=300, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=19, help="of the draw")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds of tests a mutant")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs/mutants", help="for results")
    parser.add_argument("--report", action="store_true", help="print what was found, run nothing")
    parser.add_argument("--survivors", action="store_true", help="run those that survived again")
    options = parser.parse_args()
    options.again = lambda outcome: options.survivors and not outcome.killed_by
    return options


def _suite(folder: Path) -> Suite:
    """Return the suite, run under coverage where no such run lies in the folder."""
    data, times = folder / ".coverage", folder / "times.xml"
    if not (data.exists() and times.exists()):
        tests = [f"tests/{name}" for name in TESTS]
        cover = ["--cov=spectra", "--cov-context=test", "--cov-report=", f"--junitxml={times}"]
        command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile"]
        settings = folder / "coverage.ini"
        settings.write_text(f"[run]\ndata_file = {data}\n", "utf-8")
        subprocess.run([*command, *cover, f"--cov-config={settings}", *tests], cwd=ROOT, check=True)
    return Suite.read(ROOT, data, times)


def _report(drawn: list[Mutant], results: Results) -> str:
    judged = {(j.path, j.line, j.change): j for j in _judgements()}
    done = [m for m in drawn if m.name in results.found]
    survivors = [m for m in done if not results.found[m.name].killed_by]
    equivalent = [m for m in survivors if _key(m) in judged]
    holes = [m for m in survivors if _key(m) not in judged]
    killed, others = len(done) - len(survivors), len(done) - len(equivalent)
    lines = [f"survived: {m.name}\n    {_key(m)[1]}" for m in holes]
    lines += [f"judged: {m.name}\n    {judged[_key(m)].reason}" for m in equivalent]
    share = f"{killed / max(len(done), 1):.1%} killed"
    fair = f"{killed / max(others, 1):.1%} of those that are no equals of the original"
    return "\n".join([*lines, f"{len(done)} of {len(drawn)} mutants run: {share}, {fair}"])


def _judgements() -> list[Judgement]:
    return [Judgement(**one) for one in tomllib.loads(JUDGED.read_text("utf-8"))["judged"]]


def _key(mutant: Mutant) -> tuple[str, str, str]:
    line = (ROOT / mutant.path).read_text("utf-8").splitlines()[mutant.lines[0] - 1].strip()
    return mutant.path, line, f"{mutant.before} -> {mutant.after}"


if __name__ == "__main__":
    sys.exit(main())
