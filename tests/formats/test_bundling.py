"""Runs that are too long to be made again are put into the bundled set as they are."""

import hashlib
import json

from checkpoints import bundling
from checkpoints.bundled_files import MANIFEST
from checkpoints.bundling import bundle_digits, bundle_run
from checkpoints.load import find_checkpoint
from checkpoints.training.job import checkpoint_path


def run_of(folder, epochs, content):
    for epoch in epochs:
        path = checkpoint_path(folder, epoch)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content + bytes([epoch]))
    return folder


def manifest(root):
    return json.loads((root / MANIFEST).read_text("utf-8"))


def test_a_run_is_bundled_with_its_command_and_the_digests_of_the_epochs_chosen(tmp_path):
    root, run = tmp_path / "bundled", run_of(tmp_path / "run", (5, 10), b"w")
    bundle_run(root, "cifar10-lt/ce", run, (10,), "spectra train ce")
    copy = root / "cifar10-lt/ce/epoch-0010.safetensors"
    assert copy.read_bytes() == b"w\x0a"
    assert manifest(root) == {
        "commands": {"cifar10-lt/ce": "spectra train ce"},
        "sha256": {
            "cifar10-lt/ce/epoch-0010.safetensors": hashlib.sha256(copy.read_bytes()).hexdigest()
        },
    }


def test_a_run_that_is_bundled_again_replaces_itself_and_no_other(tmp_path):
    root = tmp_path / "bundled"
    for name in ("ce", "ce-drw"):
        run = run_of(tmp_path / name, (5, 10), name.encode())
        bundle_run(root, f"cifar10-lt/{name}", run, (5, 10), f"spectra train {name}")
    kept = manifest(root)
    bundle_run(root, "cifar10-lt/ce", tmp_path / "ce", (5,), "spectra train ce --epochs 5")
    found = manifest(root)
    assert found["commands"]["cifar10-lt/ce"] == "spectra train ce --epochs 5"
    assert [name for name in found["sha256"] if name.startswith("cifar10-lt/ce/")] == [
        "cifar10-lt/ce/epoch-0005.safetensors"
    ]
    assert not (root / "cifar10-lt/ce/epoch-0010.safetensors").exists()
    others = {key: digest for key, digest in kept["sha256"].items() if "ce-drw" in key}
    assert others.items() <= found["sha256"].items()
    assert found["commands"]["cifar10-lt/ce-drw"] == kept["commands"]["cifar10-lt/ce-drw"]


def test_digits_that_are_trained_again_leave_every_other_network_where_it_is(tmp_path, monkeypatch):
    root = tmp_path / "bundled"
    bundle_run(root, "cifar10-lt/ce-drw", run_of(tmp_path / "run", (200,), b"w"), (200,), "long")
    kept, before = root / "cifar10-lt/ce-drw/epoch-0200.safetensors", manifest(root)
    trained = find_checkpoint("bundled:digits/ce@200")
    monkeypatch.setattr(bundling, "PAPER_RECIPES", ("ce",))
    monkeypatch.setattr(bundling, "train_job", lambda job: [trained])
    bundle_digits(root)
    assert kept.read_bytes() == b"w\xc8"
    assert (root / "digits/ce/epoch-0200.safetensors").read_bytes() == trained.read_bytes()
    for table, entries in before.items():
        assert entries.items() <= manifest(root)[table].items()
