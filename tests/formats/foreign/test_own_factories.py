"""Networks of the user's own: found, imported and called."""

import sys

import pytest
import torch
from foreign_files import OWN_NET, outputs, own_weights, refused

from checkpoints import Architecture, Checkpoint, LoadOptions, load_checkpoint, save_native
from checkpoints.formats.foreign import load_foreign
from spectra.errors import InputError


@pytest.mark.parametrize("name", ["Net", "plain", "network", "Net(width=4)", "Net(num_classes=3)"])
def test_a_network_is_named_by_file(folder, name):
    loaded = load_foreign(folder / "net.pth", arch=f"{folder}/own_net.py:{name}")
    assert (outputs(loaded), loaded.architecture.name) == (3, f"own_net:{name}")


def test_a_module_is_found_in_the_current_folder(folder, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.save(own_weights(), elsewhere)
    monkeypatch.chdir(folder)
    assert outputs(load_foreign(elsewhere, arch="own_net:Net")) == 3


def test_a_module_is_found_in_the_folder_of_the_checkpoint(folder):
    assert outputs(load_foreign(folder / "net.pth", arch="own_net:Net")) == 3
    assert outputs(load_foreign(folder / "net.pth", arch="own_net.py:Net")) == 3


def test_classes_are_read_from_the_weights_and_given_to_the_factory(folder):
    torch.save(own_weights(classes=7), folder / "net.pth")
    assert outputs(load_foreign(folder / "net.pth", arch="own_net:Net")) == 7


@pytest.mark.parametrize("name", ["figures", "random", "checkpoints", "torch"])
def test_a_file_named_as_a_module_that_is_in_use_shadows_nothing(folder, name):
    (folder / "own_net.py").rename(folder / f"{name}.py")
    before = dict(sys.modules)
    assert outputs(load_foreign(folder / "net.pth", arch=f"{folder}/{name}.py:Net")) == 3
    assert sys.modules.get(name) is before.get(name)
    assert str(folder) not in sys.path


def test_a_file_inside_a_package_imports_its_neighbours(folder):
    package = folder / "own_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "layers.py").write_text("WIDTH = 4\n")
    (package / "nets.py").write_text(OWN_NET.replace("own_layers_of_a_test", ".layers"))
    arch = f"{package}/nets.py:Net"
    assert outputs(load_foreign(folder / "net.pth", arch=arch)) == 3


def test_an_error_of_a_factory_is_one_line_with_file_and_line(folder):
    refused(folder / "net.pth", "own_net:broken", f"{folder}/own_net.py:23", "TypeError")


def test_an_error_of_a_module_is_one_line_with_file_and_line(folder):
    (folder / "own_net.py").write_text("x = 1\nimport no_such_module_anywhere\n")
    refused(folder / "net.pth", "own_net:Net", f"{folder}/own_net.py:2", "no_such_module_anywhere")
    (folder / "own_net.py").write_text("x = 1\ndef net(:\n")
    refused(folder / "net.pth", "own_net.py:Net", f"{folder}/own_net.py:2", "SyntaxError")


def test_a_class_that_needs_arguments_says_which_and_what_to_type(folder):
    refused(folder / "net.pth", "own_net:Wide", "needs width", "--arch 'own_net:Wide(width=...)'")
    assert outputs(load_foreign(folder / "net.pth", arch="own_net:Wide(width=4)")) == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_module", ["must give a torch.nn.Module, it gave int"]),
        ("absent", ["own_net has no absent", "Net"]),
        ("WIDTH", ["is int; expected the class"]),
        ("Net(width=__import__('os'))", ["cannot read the arguments"]),
        ("", ["cannot read 'own_net:'"]),
    ],
)
def test_what_is_no_factory_is_refused_in_one_line(folder, name, words):
    refused(folder / "net.pth", f"own_net:{name}", *words)


def test_a_module_that_is_nowhere_says_where_it_was_looked_for(folder):
    refused(folder / "net.pth", "no_such_net:Net", "no no_such_net.py in", str(folder))
    refused(folder / "net.pth", "no_such_net.py:Net", "there is no file no_such_net.py")


def test_code_that_a_checkpoint_names_is_not_run(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    architecture = Architecture("own_net:Net", 3)
    save_native(folder / "run.safetensors", Checkpoint("run", own_weights(), architecture))
    with pytest.raises(InputError, match=r"not run because a file names it; .* --arch own_net:Net"):
        load_checkpoint(folder / "run.safetensors").model()
    assert "own_net" not in sys.modules
    named = load_checkpoint(folder / "run.safetensors", LoadOptions(arch="own_net:Net"))
    assert outputs(named) == 3


def test_what_own_code_prints_stays_out_of_the_results(folder, capsys):
    (folder / "own_net.py").write_text("print('here I am')\n" + OWN_NET)
    assert outputs(load_foreign(folder / "net.pth", arch="own_net:Net")) == 3
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "here I am\n")


def test_random_numbers_of_the_caller_are_left_alone(folder):
    before = torch.random.get_rng_state()
    load_foreign(folder / "net.pth", arch="own_net:Net").model()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_file_without_a_class_says_which_it_has(folder):
    refused(folder / "net.pth", f"{folder}/own_net.py", "name the network in it", "own_net.py:Wide")


def test_folders_are_not_recorded(folder):
    assert Architecture(f"{folder}/own_net.py:Net", 3).to_dict()["name"] == "own_net:Net"
    assert Architecture(f"hf:{folder}", 3).to_dict()["name"] == f"hf:{folder.name}"
