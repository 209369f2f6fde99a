"""The bundled set: found by name, held against its manifest, and told where it is not installed."""

import configparser
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from command_line import invoke

from checkpoints import bundled_files, list_checkpoints, load_checkpoint
from checkpoints.bundled_files import INSTALLED, bundled_runs, listed_files, verify_bundled
from spectra.errors import InputError

ROOT = Path(__file__).parents[2]
RUNS = {"digits/vs": (4,), "digits/ce-drw": (100, 5), "digits/ce": (7, 200)}


@pytest.fixture
def bundled(tmp_path, monkeypatch) -> Path:
    """A bundled set of three runs in place of the package's own; what is in it does not matter."""
    root = tmp_path / "bundled"
    for name, epochs in RUNS.items():
        (root / name).mkdir(parents=True)
        for epoch in epochs:
            path = root / name / f"epoch-{epoch:04d}.safetensors"
            safetensors.torch.save_file({"w": torch.full((3,), float(epoch))}, path)
    digests = {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.glob("*/*/*")
    }
    (root / "MANIFEST.json").write_text(json.dumps({"sha256": digests}))
    monkeypatch.setattr(bundled_files, "bundled_folder", lambda: root.resolve())
    return root


def refused(reference: str | Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        load_checkpoint(reference)
    assert "\n" not in str(error.value)


# --- names ------------------------------------------------------------------------------------


def test_bundled_runs_are_listed_with_their_epochs(bundled):
    assert bundled_runs() == {
        "digits/ce": [7, 200],
        "digits/ce-drw": [5, 100],
        "digits/vs": [4],
    }


@pytest.mark.parametrize(("suffix", "epoch"), [("", 200), ("@160", 160)])
def test_a_bundled_run_is_loaded_by_name(suffix, epoch):
    assert load_checkpoint(f"bundled:digits/ce-drw{suffix}").epoch == epoch


def test_a_bundled_run_lists_its_checkpoints(bundled):
    names = [file.name for _, file in list_checkpoints("bundled:digits/ce-drw")]
    assert names == ["epoch-0005.safetensors", "epoch-0100.safetensors"]


@pytest.mark.parametrize("name", ["digits/none", "digits", "", "../bundled/digits/vs", "digits/"])
def test_an_unknown_bundled_name_is_refused_with_who_knows_them(bundled, name):
    refused(f"bundled:{name}", "no bundled run .*; 'spectra checkpoints list' names them")


def test_an_unknown_epoch_of_a_bundled_run_is_refused_with_the_known_ones(bundled):
    refused("bundled:digits/ce-drw@6", "no checkpoint of epoch 6; it has 5, 100")


def test_an_unknown_bundled_name_is_refused_where_nothing_is_bundled(tmp_path, monkeypatch):
    monkeypatch.setattr(bundled_files, "bundled_folder", lambda: tmp_path)
    refused("bundled:digits/ce", "no bundled run 'digits/ce'")


# --- digests ----------------------------------------------------------------------------------


def change_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_an_intact_bundled_set_is_counted(bundled):
    assert verify_bundled() == 5


def test_a_changed_bundled_file_is_reported_by_name(bundled):
    change_a_bit(bundled / "digits/vs/epoch-0004.safetensors")
    with pytest.raises(InputError, match=r"digits/vs/epoch-0004\.safetensors is damaged"):
        verify_bundled()


@pytest.mark.parametrize("by", ["name", "path"])
def test_a_changed_bit_of_a_bundled_file_is_found_when_it_is_read(bundled, by):
    file = bundled / "digits/ce-drw/epoch-0005.safetensors"
    change_a_bit(file)
    refused("bundled:digits/ce-drw@5" if by == "name" else file, r"epoch-0005\.\w+ is damaged")


def test_a_missing_file_that_is_always_installed_is_reported_by_name(bundled):
    (bundled / "digits/ce-drw/epoch-0005.safetensors").unlink()
    with pytest.raises(InputError, match=r"digits/ce-drw/epoch-0005\.safetensors is missing"):
        verify_bundled()


def test_a_bundled_file_that_is_not_listed_is_reported_by_name(bundled):
    (bundled / "digits/vs/epoch-0009.safetensors").write_bytes(b"w")
    with pytest.raises(InputError, match=r"digits/vs/epoch-0009\.safetensors"):
        verify_bundled()


def test_a_damaged_manifest_is_one_line(bundled):
    (bundled / "MANIFEST.json").write_text("{")
    refused("bundled:digits/ce", "MANIFEST.json is damaged; reinstall")


# --- what a wheel leaves out ------------------------------------------------------------------


@pytest.fixture
def installed(bundled) -> Path:
    """The set as a wheel carries it."""
    for file in listed_files():
        if not bundled_files._is_installed(file):
            file.path.unlink()
    return bundled


def test_a_wheel_is_sound_without_what_it_leaves_out(installed):
    assert verify_bundled() == 3
    assert bundled_runs() == {"digits/ce": [200], "digits/ce-drw": [5, 100]}


@pytest.mark.parametrize("reference", ["digits/vs", "digits/vs@4", "digits/ce@7"])
def test_what_is_not_installed_is_one_line_that_says_where_it_lies(installed, reference):
    run = reference.partition("@")[0]
    refused(
        f"bundled:{reference}",
        rf"bundled:{run}@\d is not installed; it lies in the source repository, at "
        rf"checkpoints/bundled/{run}/epoch-000\d.safetensors \(SHA-256 [0-9a-f]{{64}}\): download",
    )


def test_a_run_of_which_some_epochs_are_installed_is_not_taken_for_whole(installed):
    with pytest.raises(InputError, match=r"epochs 7 are not .* or name bundled:digits/ce@200$"):
        list_checkpoints("bundled:digits/ce")


def test_the_list_of_a_wheel_says_how_many_lie_elsewhere(installed):
    assert "2 more lie in the source repository" in invoke("checkpoints", "list").stderr


def test_a_wheel_carries_the_files_that_are_always_installed():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    data = settings["options.package_data"]["checkpoints"].split("\n")
    bundled = {name for name in data if "bundled/" in name}
    assert bundled == {f"bundled/{name}" for name in ("MANIFEST.json", *INSTALLED)}


def test_all_that_is_always_installed_is_less_than_two_megabytes():
    files = [file for file in listed_files() if bundled_files._is_installed(file)]
    assert len(files) == 15
    assert sum(file.path.stat().st_size for file in files) < 2e6


def test_the_manifest_is_read_without_torch():
    code = (
        "import sys; from checkpoints.bundled_files import listed_files; "
        "assert len(listed_files()) > 40; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
