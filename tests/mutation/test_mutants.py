"""Mutants are single mistakes in code that runs, and the same ones for the same seed."""

import ast
from pathlib import Path

import pytest
from mutants import mutants_of, sample

ROOT = Path(__file__).parents[2]
SOURCE = '''"""Doc 1."""
from typing import TYPE_CHECKING

__all__ = ["f", "x"]
if TYPE_CHECKING:
    limit = 5


@decorated(frozen=True)
class C:
    """Doc 2."""

    n: int | None = None

    def f(self, a: "int", *, b=True) -> "float":
        """Doc 3."""
        logger.info("said", a + 1)
        if a < self.n and b:
            raise ValueError(f"no {a - 2}")
        self.n = zip(a, b, strict=True)
        return a * 3
'''


def changes(source: str) -> set[str]:
    return {f"{m.before} -> {m.after}" for m in mutants_of(source, "some/file.py")}


def test_every_mistake_that_is_looked_for_is_made_and_no_other():
    assert changes(SOURCE) == {
        "True -> False",  # the default of b
        "a < self.n -> (a <= self.n)",
        "a < self.n -> (a >= self.n)",
        "a < self.n and b -> (a < self.n or b)",
        'raise ValueError(f"no {a - 2}") -> pass',
        "self.n = zip(a, b, strict=True) -> pass",
        "zip(a, b, strict=True) -> zip(b, a, strict=True)",
        "return a * 3 -> return None",
        "a * 3 -> (a / 3)",
        "3 -> (4)",
        "3 -> (2)",
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x = -y", {"-y -> y"}),
        ("x = not y", {"not y -> y"}),
        ("x = y is None", {"y is None -> (y is not None)"}),
        ("x = y in z", {"y in z -> (y not in z)"}),
        ("x = y if c else z", {"y if c else z -> (z if c else y)"}),
        ("x += y", {"x += y -> pass"}),
        ("f(y, z)", {"f(y, z) -> pass", "f(y, z) -> f(z, y)"}),
        ("x = max(y, z)", set()),
        ("x = f(*y, z)", set()),
        ("x = y ** z", {"y ** z -> (y * z)"}),
        ("x = 'text'", set()),
    ],
)
def test_a_line_has_these_mutants(line, expected):
    assert changes(line) == expected


def test_names_say_the_function_and_text_beyond_ascii_is_counted_in_bytes():
    (mutant,) = mutants_of("class A:\n    def f(self):\n        'λ'; self.g()\n", "a.py")
    assert (mutant.where, mutant.lines, mutant.before) == ("A.f", (3, 3), "self.g()")
    source = "class A:\n    def f(self):\n        'λ'; self.g()\n"
    assert mutant.source(source) == source.replace("self.g()", "pass")


def test_the_mutants_of_a_room_compile_each_with_another_tree():
    path = ROOT / "spectra/krylov/lanczos.py"
    original = path.read_text("utf-8")
    found = mutants_of(original, "spectra/krylov/lanczos.py")
    assert len(found) > 100
    tree = ast.dump(ast.parse(original))
    for mutant in found[::7]:
        assert ast.dump(ast.parse(mutant.source(original))) != tree


def test_a_sample_is_that_of_its_seed_and_takes_no_line_twice():
    paths = list((ROOT / "spectra/krylov").glob("*.py"))
    first, again = (sample(ROOT, paths, count=40, seed=1) for _ in range(2))
    assert first == again
    assert len({(m.path, m.lines[0]) for m in first}) == 40
    assert sample(ROOT, paths, count=40, seed=2) != first
