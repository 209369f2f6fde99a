import ast
import importlib
import inspect
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import checkpoints
import figures
import spectra

PACKAGES = {package.__name__: package for package in (spectra, checkpoints, figures)}
# Plain data: a docstring would be that of dict, tuple or str.
CONSTANTS = {"ENGINES", "VERDICTS", "__version__"}


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_nothing_beside_it(package):
    code = (
        f"import sys; before = set(sys.modules); import {package}; "
        "print(*sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    loaded = set(run_python(code).stdout.split())
    assert loaded - sys.stdlib_module_names - {"sitecustomize"} == {"spectra", package}


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_prints_and_warns_nothing(package):
    done = run_python(f"import {package}")
    assert (done.stdout, done.stderr) == ("", "")


def test_importing_spectra_takes_a_third_of_a_second_at_most():
    def cpu_seconds(code: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_python(code)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    # .03 s is what it takes: ten times as much, on a machine that does something else too. The
    # least of three is what neither caches nor neighbours add to.
    assert min(cpu_seconds("import spectra") for _ in range(3)) < 0.3 + cpu_seconds("pass")


@pytest.mark.parametrize(
    "package", ["matplotlib", "sklearn", "click", "rich", "pyhessian", "figures", "checkpoints"]
)
def test_using_every_public_name_of_spectra_does_not_import(package, modules_of_every_name):
    assert "torch" in modules_of_every_name
    assert package not in modules_of_every_name


@pytest.fixture(scope="module")
def modules_of_every_name() -> set[str]:
    code = "import sys; from spectra import *; print(*(m for m in sys.modules if '.' not in m))"
    return set(run_python(code).stdout.split())


def names_by_module(package: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return what an editor sees of a package and what Python imports: module -> names."""
    tree = ast.parse(Path(PACKAGES[package].__file__).read_text(encoding="utf-8"))
    fork = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        node.module: sorted(alias.name for alias in node.names)
        for node in fork.body
        if isinstance(node, ast.ImportFrom)
    }
    table = next(node for node in ast.walk(fork.orelse[0]) if isinstance(node, ast.Dict))
    imported = {module: sorted(names) for module, names in ast.literal_eval(table).items()}
    return seen, imported


@pytest.mark.parametrize("package", PACKAGES)
def test_an_editor_sees_the_names_that_python_imports(package):
    seen, imported = names_by_module(package)
    assert seen == imported


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_listed_once(package):
    listed = PACKAGES[package].__all__
    given = [name for names in names_by_module(package)[1].values() for name in names]
    assert sorted(listed) == sorted(given + ["__version__"] * (package == "spectra"))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_name_is_that_of_a_room(package):
    # Importing the room would put the module in the name's place.
    folder = Path(PACKAGES[package].__file__).parent
    rooms = {path.stem for path in folder.iterdir()}
    assert not rooms & set(PACKAGES[package].__all__)


@pytest.mark.parametrize(
    ("package", "name"),
    [(package, name) for package in PACKAGES for name in PACKAGES[package].__all__],
)
def test_public_name_exists(package, name):
    assert getattr(PACKAGES[package], name) is not None
    assert name in dir(PACKAGES[package])


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        importlib.import_module(package).nothing  # noqa: B018


@pytest.mark.parametrize("name", sorted(set(spectra.__all__) - CONSTANTS))
def test_public_name_has_a_docstring_of_its_own(name):
    thing = getattr(spectra, name)
    # A dataclass without one gets its signature as docstring.
    assert (thing.__doc__ or "").strip()
    assert not thing.__doc__.startswith(f"{name}(")


@pytest.mark.parametrize("name", sorted(set(spectra.__all__) - CONSTANTS))
def test_public_methods_have_docstrings(name):
    thing = getattr(spectra, name)
    methods = vars(thing).items() if inspect.isclass(thing) else ()
    bare = [
        key
        for key, value in methods
        if not key.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property))
        and not inspect.getdoc(getattr(thing, key))
    ]
    assert bare == []


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
