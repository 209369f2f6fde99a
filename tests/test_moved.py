"""Old names work for one version, each with a warning that says the new one."""

import importlib
import subprocess
import sys
import warnings

import pytest

from spectra._moved import MOVED, NOW_ROOMS, RENAMED

OLD_NAMES = [
    (room, name, module)
    for room, places in NOW_ROOMS.items()
    for module, names in places.items()
    for name in names
]


@pytest.fixture
def forgotten(monkeypatch):
    """Return a function that has an old module imported anew."""

    def forget(old: str) -> None:
        monkeypatch.delitem(sys.modules, old, raising=False)

    return forget


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_module_is_the_one_at_the_new_place(old, new, forgotten):
    forgotten(old)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = importlib.import_module(old)
    assert module is importlib.import_module(new)
    assert module.__name__ == module.__spec__.name == new
    told = [str(w.message) for w in caught if w.category is DeprecationWarning]
    assert f"{old} is {new} now; the old name goes with the next version" in told


@pytest.mark.parametrize(("room", "name", "module"), OLD_NAMES)
def test_a_name_of_a_module_that_is_a_room_now_is_in_the_room(room, name, module):
    with pytest.warns(DeprecationWarning, match=f"^{room}.{name} is {module}.{name} now"):
        found = getattr(importlib.import_module(room), name)
    assert found is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    ("package", "old", "new"),
    [(package, old, new) for package, names in RENAMED.items() for old, new in names.items()],
)
def test_a_public_name_of_before_is_the_one_of_now(package, old, new):
    module = importlib.import_module(package)
    place, _, name = new.rpartition(".")
    with pytest.warns(DeprecationWarning, match=f"^{package}.{old} is {new} now"):
        assert getattr(module, old) is getattr(importlib.import_module(place), name)
    assert old not in module.__all__


def test_the_warning_names_the_line_of_the_import(forgotten):
    forgotten("spectra.files")
    with pytest.warns(DeprecationWarning, match="spectra.system.files.writing") as caught:
        import spectra.files  # noqa: F401
    assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize("statement", ["import cli.workflows.analyze", "import spectra.lanczos"])
def test_an_old_module_is_found_by_a_fresh_python(statement):
    subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", statement],
        check=True,
    )


def test_a_module_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match="never_was"):
        importlib.import_module("spectra.never_was")
    with pytest.raises(AttributeError, match="never_was"):
        importlib.import_module("spectra.operators").never_was  # noqa: B018
