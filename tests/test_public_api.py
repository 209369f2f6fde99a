import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spectra

# Plain data: a docstring would be that of dict, tuple or str.
CONSTANTS = {"ENGINES", "VERDICTS", "__version__"}


@pytest.fixture(scope="module")
def loaded_modules() -> set[str]:
    code = "import sys, spectra; print(*sorted(m for m in sys.modules if '.' not in m), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "package",
    ["matplotlib", "sklearn", "click", "rich", "pyhessian", "figures", "checkpoints", "cli"],
)
def test_importing_spectra_does_not_import(package, loaded_modules):
    assert "spectra" in loaded_modules
    assert package not in loaded_modules


def test_importing_spectra_prints_and_warns_nothing():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import spectra"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", spectra.__all__)
def test_public_name_exists(name):
    assert hasattr(spectra, name)


@pytest.mark.parametrize("name", sorted(set(spectra.__all__) - CONSTANTS))
def test_public_name_has_a_docstring_of_its_own(name):
    thing = vars(spectra)[name]
    # A dataclass without one gets its signature as docstring.
    assert (thing.__doc__ or "").strip()
    assert not thing.__doc__.startswith(f"{name}(")


@pytest.mark.parametrize("name", sorted(set(spectra.__all__) - CONSTANTS))
def test_public_methods_have_docstrings(name):
    thing = vars(spectra)[name]
    methods = vars(thing).items() if inspect.isclass(thing) else ()
    bare = [
        key
        for key, value in methods
        if not key.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property))
        and not inspect.getdoc(getattr(thing, key))
    ]
    assert bare == []


def test_no_public_name_is_listed_twice():
    assert len(spectra.__all__) == len(set(spectra.__all__))


@pytest.mark.parametrize("error", ["InputError", "NonFiniteError", "OperatorError"])
def test_every_deliberate_error_is_a_spectra_error(error):
    assert issubclass(getattr(spectra, error), spectra.SpectraError)


def test_streams_depend_on_seed_and_every_name():
    seeds = [
        spectra.derive_seed(*key) for key in [(0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, 1)]
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_derived_seed_is_fixed_for_good():
    # Stored results name their seed: a change here would make them unrepeatable.
    assert spectra.derive_seed(0, "probe", "8", 0) == 3449975957407094385


def test_the_python_of_the_readme_runs():
    readme = Path(__file__).parents[1] / "README.md"
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        subprocess.run([sys.executable, "-W", "error", "-c", block], check=True)
