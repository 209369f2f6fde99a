import collections
import contextlib
import os
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from checkpoints.data.normalisations import CIFAR, IMAGENET
from checkpoints.formats.foreign import load_foreign
from checkpoints.models import Architecture, build_model
from checkpoints.models.registry import CIFAR_DEPTHS
from spectra.errors import InputError

SGD_FOLDER = "cifar10_resnet32_CE_DRW_exp_0.01_seed_0_0"
SAM_FOLDER = "cifar10_resnet32_LDAM_DRW_exp_0.01_sam_0.8_sched_none_seed_3_0"


def state(name="resnet8", classes=10, **fields):
    return build_model(Architecture(name, classes, **fields)).state_dict()


def rename(weights, old, new):
    return {key.replace(old, new): value for key, value in weights.items()}


def prefixed(weights, prefix="module."):
    return {prefix + key: value for key, value in weights.items()}


def user_network(num_classes):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, num_classes))


@pytest.fixture
def save(tmp_path):
    def write(content, name="net.pth", **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, path, **options)
        return path

    return write


@pytest.fixture
def reference(save):
    """A file with the keys, prefix and place of the published code."""

    def write(folder=SGD_FOLDER, file="200_ckpt.pth.tar", head="linear", classes=10, **changes):
        content = {
            "epoch": 200,
            "arch": "resnet32",
            "state_dict": prefixed(state("resnet32", classes, head=head)),
            "best_acc1": torch.tensor(75.5),
            "optimizer": {"state": {}, "param_groups": [{"lr": 1e-5, "params": [0]}]},
        }
        return save({**content, **changes}, f"{folder}/{file}")

    return write


def arch(path, **options):
    return load_foreign(path, **options).architecture


# Forms of file


@pytest.mark.parametrize("suffix", ["pth", "pt", "th", "pth.tar"])
def test_a_bare_state_dict_keeps_its_weights(save, suffix):
    weights = state()
    loaded = load_foreign(save(weights, f"net.{suffix}")).state
    torch.testing.assert_close(dict(loaded), dict(weights), rtol=0, atol=0)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "net"])
def test_a_state_dict_is_found_under_its_usual_keys(save, key):
    assert arch(save({key: state(), "epoch": 3})).name == "resnet8"


@pytest.mark.parametrize(
    "keys", [("model", "state_dict"), ("state_dict", "model"), ("net", "model", "state_dict")]
)
def test_a_state_dict_is_found_under_keys_inside_keys(save, keys):
    content = state()
    for key in reversed(keys):
        content = {key: content, "step": 7}
    assert arch(save(content)).name == "resnet8"


@pytest.mark.parametrize("header", [None, {"format": "pt"}], ids=["no header", "torch's header"])
def test_safetensors_without_our_metadata_are_read(tmp_path, header):
    path, weights = tmp_path / "net.safetensors", state()
    safetensors.torch.save_file(prefixed(weights), path, header)
    loaded = load_foreign(path)
    assert (loaded.name, loaded.architecture.name) == ("net", "resnet8")
    torch.testing.assert_close(dict(loaded.state), dict(weights), rtol=0, atol=0)


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.", "model.", "backbone.", "net.", "model.module."],
)
def test_prefixes_of_wrappers_are_removed(save, prefix):
    assert set(load_foreign(save(prefixed(state(), prefix))).state) == set(state())


def test_counters_beside_the_weights_are_ignored(save):
    count = torch.zeros(1)
    counters = {"total_ops": count, "total_params": count, "layer1.0.total_ops": count}
    averaged = {"n_averaged": torch.tensor(3), **prefixed({**state(), **counters})}
    assert set(load_foreign(save(averaged)).state) == set(state())


@pytest.mark.parametrize(
    ("key", "average"),
    [("model", "model_ema"), ("state_dict", "state_dict_ema"), ("state_dict", "ema")],
)
def test_weights_left_aside_are_noted(save, key, average):
    weights = state()
    ema = {k: torch.ones_like(v) for k, v in weights.items()}
    loaded = load_foreign(save({average: ema, key: weights}))
    assert torch.equal(loaded.state["linear.weight"], weights["linear.weight"])
    assert f"took the weights under {key}; left aside: {average}" in loaded.notes


@pytest.mark.parametrize("key", ["ema", "model_ema", "state_dict_ema"])
def test_an_average_that_is_alone_is_read_and_noted(save, key):
    loaded = load_foreign(save({key: state(), "epoch": 3}))
    assert loaded.architecture.name == "resnet8"
    assert f"took the weights under {key}, by its name an average" in loaded.notes


def test_the_only_weights_of_a_file_carry_no_note_on_where_they_lay(save):
    notes = load_foreign(save({"model": state(), "optimizer": {"state": {}}})).notes
    assert not any("took the weights" in note for note in notes)


def test_a_zip_file_without_checksums_is_read(save):
    torch.serialization.set_crc32_options(False)
    try:
        path = save(state())
    finally:
        torch.serialization.set_crc32_options(True)
    assert arch(path).name == "resnet8"


def test_the_older_format_without_zip_is_read(save):
    path = save({"state_dict": state()}, _use_new_zipfile_serialization=False)
    assert arch(path).name == "resnet8"


def test_the_network_is_ready_to_run(save):
    model = load_foreign(save({"state_dict": prefixed(state())})).model()
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int64])
def test_numpy_scalars_beside_the_weights_are_admitted(save, kind, legacy):
    path = save({"state_dict": state(), "rho": kind(3)}, _use_new_zipfile_serialization=not legacy)
    assert arch(path).name == "resnet8"


def test_numpy_scalars_in_the_spelling_of_numpy_1_are_admitted(save):
    content = {"state_dict": state(), "best_acc1": np.float16(75.5)}
    path = save(content, _use_new_zipfile_serialization=False)
    bytes_ = path.read_bytes()
    path.write_bytes(
        bytes_.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
        if b"numpy._core" in bytes_
        else bytes_.replace(b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n")
    )
    assert load_foreign(path).metrics == {"best_acc1": 75.5}


def test_half_precision_is_widened(save):
    weights = {k: v.half() if v.is_floating_point() else v for k, v in state().items()}
    loaded = load_foreign(save(weights))
    assert loaded.state["conv1.weight"].dtype == torch.float32


def test_weights_saved_as_parameters_come_back_without_gradients(save):
    path = save(dict(build_model(Architecture("softmax", 10)).named_parameters()))
    assert not any(value.requires_grad for value in load_foreign(path).state.values())


def test_entries_that_are_no_tensors_are_noted(save):
    path = save({"state_dict": {**state(), "_extra_state": "text"}})
    assert "ignored what is no tensor among the weights: _extra_state" in load_foreign(path).notes


def test_sparse_weights_are_refused(save):
    path = save({**state(), "linear.weight": torch.eye(3).to_sparse()})
    with pytest.raises(InputError, match=r"linear.weight should be a dense real tensor"):
        load_foreign(path)


# Architecture from the keys


@pytest.mark.parametrize("depth", CIFAR_DEPTHS)
def test_the_depth_of_a_resnet_is_counted(save, depth):
    assert arch(save(state(f"resnet{depth}"))).name == f"resnet{depth}"


def test_a_digits_resnet_is_recognised(save):
    found = arch(save(state("digits-resnet", 7, in_channels=1)))
    assert found == Architecture("digits-resnet", 7, in_channels=1, image_size=8)


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 8), (1, 28)])
def test_images_of_a_softmax_regression_follow_from_its_inputs(save, channels, size):
    wanted = Architecture("softmax", 10, in_channels=channels, image_size=size)
    assert arch(save(build_model(wanted).state_dict())) == wanted


def test_a_softmax_regression_on_odd_inputs_asks_for_the_image_size(save):
    with pytest.raises(InputError, match="give --in-channels and --image-size"):
        load_foreign(save({"fc.weight": torch.zeros(10, 50), "fc.bias": torch.zeros(10)}))


@pytest.mark.parametrize("classes", [10, 64, 100])
def test_classes_of_a_linear_head_are_counted(save, classes):
    assert arch(save(state(classes=classes))).num_classes == classes


@pytest.mark.parametrize("classes", [10, 100])
def test_a_head_without_bias_and_with_inputs_first_is_a_cosine_head(save, classes):
    found = arch(save(state(classes=classes, head="cosine")))
    assert (found.head, found.num_classes) == ("cosine", classes)


def test_a_square_head_without_bias_asks_which_it_is(save):
    with pytest.raises(InputError, match="give --head cosine"):
        load_foreign(save(state(classes=64, head="cosine")))


def test_a_square_head_is_a_cosine_head_when_told_so(save):
    assert arch(save(state(classes=64, head="cosine")), head="cosine").num_classes == 64


def test_a_linear_head_without_bias_is_refused(save):
    weights = {k: v for k, v in state().items() if k != "linear.bias"}
    with pytest.raises(InputError, match=r"cosine head of shape \(64, classes\), got \(10, 64\)"):
        load_foreign(save(weights))


def test_input_channels_are_those_of_the_stem(save):
    assert arch(save(state(in_channels=1))).in_channels == 1


@pytest.mark.parametrize("name", ["shortcut.", "downsample."])
def test_convolutions_beside_the_blocks_mean_option_b(save, name):
    weights = rename(state(shortcut="B"), "shortcut.", name)
    assert arch(save(weights)).shortcut == "B"


@pytest.mark.parametrize("name", ["fc.", "classifier."])
def test_other_names_of_the_head_become_linear(save, name):
    assert set(load_foreign(save(rename(state(), "linear.", name))).state) == set(state())


def test_buffers_absent_from_old_files_are_not_missed(save):
    weights = {k: v for k, v in state().items() if not k.endswith("num_batches_tracked")}
    assert arch(save(weights)).name == "resnet8"


def test_a_head_under_two_names_is_refused(save):
    with pytest.raises(InputError, match=r"linear.weight under two names"):
        load_foreign(save({**state(), "fc.weight": torch.zeros(10, 64)}))


def test_an_unknown_depth_asks_for_an_architecture(save):
    weights = {k: v for k, v in state("resnet20").items() if not k.startswith("layer3.2.")}
    with pytest.raises(InputError, match=r"got stages of 3, 3, 2 blocks; name it with --arch"):
        load_foreign(save(weights))


def test_a_wider_network_is_not_taken_for_a_known_one(save):
    weights = {**state(), "conv1.weight": torch.zeros(32, 3, 3, 3)}
    with pytest.raises(InputError, match=r"do not fit resnet8 .* conv1.weight is \(32, 3, 3, 3\)"):
        load_foreign(save(weights))


def test_a_network_without_a_known_head_asks_for_an_architecture(save):
    with pytest.raises(InputError, match="module:factory"):
        load_foreign(save({"encoder.weight": torch.zeros(4, 4)}))


def test_a_head_inside_a_part_of_the_network_is_named(save):
    weights = {**prefixed(state(), "backbone."), "projector.weight": torch.zeros(2, 2)}
    with pytest.raises(InputError, match=r"though there is backbone\.linear\.weight; name it"):
        load_foreign(save(weights))


@pytest.mark.parametrize("option", ["num_classes", "in_channels", "image_size"])
@pytest.mark.parametrize("value", [-7, 0])
@pytest.mark.parametrize("name", [None, "mine:net"])
def test_options_that_are_no_size_are_refused(save, option, value, name):
    with pytest.raises(InputError, match=rf"{option} .*must be an integer from 1, got {value}"):
        load_foreign(save(state()), arch=name, **{option: value})


def test_an_option_that_contradicts_the_weights_is_refused(save):
    with pytest.raises(InputError, match="do not fit resnet8 with 9 classes"):
        load_foreign(save(state()), num_classes=9)


def test_options_replace_what_cannot_be_read(save):
    assert arch(save(state(in_channels=1)), image_size=28).image_size == 28


# Networks of the user's own


def test_the_keys_of_a_users_network_are_left_as_they_are(save):
    path = save({"module.fc.weight": torch.zeros(4, 2), "module.fc.bias": torch.zeros(4)})
    assert set(load_foreign(path, arch="mine:net").state) == {"fc.weight", "fc.bias"}


def test_an_attribute_that_holds_all_of_a_users_network_stays_in_its_keys(save):
    path = save({"model.fc.weight": torch.zeros(4, 2), "model.fc.bias": torch.zeros(4)})
    assert set(load_foreign(path, arch="mine:net").state) == {"model.fc.weight", "model.fc.bias"}


def test_a_users_network_is_built_from_its_factory(save):
    path = save(user_network(6).state_dict())
    loaded = load_foreign(path, arch=f"{__name__}:user_network")
    assert loaded.architecture.num_classes == 6
    assert isinstance(loaded.model()[2], nn.Linear)


def test_classes_of_a_users_network_without_bias_are_asked_for(save):
    with pytest.raises(InputError, match="--num-classes"):
        load_foreign(save({"out.weight": torch.zeros(4, 2)}), arch="mine:net")


# What else the file tells


def test_the_published_code_counts_finished_epochs(reference):
    assert load_foreign(reference()).epoch == 200


@pytest.mark.parametrize("best", [torch.tensor(75.5), np.float16(75.5), 75.5])
def test_the_best_accuracy_becomes_a_metric(reference, best):
    assert load_foreign(reference(best_acc1=best)).metrics == {"best_acc1": 75.5}


def test_a_numpy_radius_in_the_optimizer_is_noted(reference):
    optimizer = {"state": {}, "param_groups": [{"rho": np.float16(0.5), "params": [0]}]}
    notes = load_foreign(reference(optimizer=optimizer)).notes
    assert "the optimizer state says that SAM's rho was 0.5 when it was saved" in notes


def test_the_recipe_of_the_published_code_is_read_from_the_folder(reference):
    recipe = load_foreign(reference()).recipe
    assert (recipe.name, recipe.loss, recipe.weighting) == ("ce-drw", "ce", "drw")


def test_sams_radius_is_read_from_the_folder(reference):
    recipe = load_foreign(reference(SAM_FOLDER, head="cosine")).recipe
    assert (recipe.name, recipe.optimizer, recipe.rho) == ("ldam-drw-sam", "sam", 0.8)


def test_class_counts_follow_from_the_folder(reference):
    counts = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
    assert load_foreign(reference()).class_counts == counts


def test_the_seed_is_read_from_the_folder(reference):
    assert load_foreign(reference(SAM_FOLDER, head="cosine")).seed == 3


def test_the_published_code_normalises_with_the_cifar_constants(reference):
    assert load_foreign(reference()).normalisation == CIFAR


def test_the_users_normalisation_wins(reference):
    assert load_foreign(reference(), normalisation=IMAGENET).normalisation == IMAGENET


def test_an_unknown_normalisation_is_noted(save):
    assert "--normalisation" in load_foreign(save(state())).notes[-1]


def test_the_name_tells_recipe_and_file(reference):
    assert load_foreign(reference()).name == "ce-drw_200_ckpt"


@pytest.mark.parametrize("file", ["ckpt.best.pth.tar", "ckpt.pth.tar"])
def test_checkpoints_chosen_on_test_images_are_noted(reference, file):
    assert any("test images" in note for note in load_foreign(reference(file=file)).notes)


def test_checkpoints_of_a_fixed_epoch_carry_no_such_note(reference):
    assert not any("test images" in note for note in load_foreign(reference()).notes)


@pytest.mark.parametrize(
    ("folder", "head", "reason"),
    [
        (SGD_FOLDER, "cosine", "probably LDAM"),
        (SAM_FOLDER, "linear", "claims LDAM, but the head is linear"),
        (SGD_FOLDER.replace("CE_DRW", "VS_None"), "linear", "hyperparameters are not in the name"),
        (SAM_FOLDER.replace("LDAM", "CE").replace("none", "step"), "linear", "step rho schedule"),
        (SGD_FOLDER.replace("cifar10", "cifar100"), "linear", "the name was not believed"),
        ("CE+DRW+SAM_rho_0.5", "linear", "the names claim CE+DRW+SAM with rho 0.5"),
        ("CE+DRW+SAM", "cosine", "claims CE, but the head is a cosine head"),
    ],
)
def test_a_name_that_leaves_doubt_gives_a_note_and_no_recipe(reference, folder, head, reason):
    loaded = load_foreign(reference(folder, head=head))
    assert loaded.recipe is None
    assert any(reason in note for note in loaded.notes)


def test_words_inside_other_words_claim_nothing(reference):
    assert not any("claim" in n for n in load_foreign(reference("sample_resnet_scene")).notes)


# Files that are refused, each in one line


class Command:
    """A pickle that creates a file when it is loaded without care."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.fixture(params=["zip", "legacy", "plain pickle"])
def hostile(request, save, tmp_path):
    content = {"state_dict": state(), "epoch": Command(tmp_path / "executed")}
    if request.param == "plain pickle":
        path = tmp_path / "net.pth"
        path.write_bytes(pickle.dumps(Command(tmp_path / "executed"), protocol=2))
        return path
    return save(content, _use_new_zipfile_serialization=request.param == "zip")


def test_a_command_in_a_pickle_is_not_executed(hostile, tmp_path):
    with pytest.raises(InputError):
        load_foreign(hostile)
    assert not (tmp_path / "executed").exists()


def test_the_hostile_file_would_have_executed_its_command(hostile, tmp_path):
    # A plain pickle is no file of torch's, but its command has run when torch notices.
    with contextlib.suppress(Exception):
        torch.load(hostile, weights_only=False)
    assert (tmp_path / "executed").exists()


def one_line(path, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        load_foreign(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_what_a_hostile_pickle_asks_for_is_named(hostile):
    one_line(hostile, r"asks for (posix|nt)\.system, and only tensors")


def test_a_pickled_network_is_refused_with_what_to_do(save):
    one_line(save(build_model(Architecture("softmax", 10))), r"save model\.state_dict\(\)")


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused(save, legacy, kept):
    path = save(state(), _use_new_zipfile_serialization=not legacy)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    one_line(path, "no readable checkpoint, or it was cut short")


def test_weights_that_do_not_match_their_checksum_are_refused(save):
    path = save(state())
    with zipfile.ZipFile(path) as archive:
        part = max(archive.infolist(), key=lambda info: info.file_size)
    content = bytearray(path.read_bytes())
    middle = part.header_offset + part.file_size // 2
    content[middle : middle + 200] = bytes(b ^ 1 for b in content[middle : middle + 200])
    path.write_bytes(content)
    one_line(path, f"is damaged: {part.filename} does not match its checksum; download")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "net.pth").touch()
    one_line(tmp_path / "net.pth", "is empty")


@pytest.mark.parametrize("content", [b"<html>sign in</html>", b"\x00" * 99, b"PK\x03\x04junk"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "net.pth").write_bytes(content)
    one_line(tmp_path / "net.pth", "no readable checkpoint")


def test_a_folder_is_refused(tmp_path):
    one_line(tmp_path, "got the folder")


def test_a_newer_pickle_protocol_is_refused_with_torchs_reason(tmp_path):
    (tmp_path / "net.pth").write_bytes(pickle.dumps({"a": 1}, protocol=4))
    one_line(tmp_path / "net.pth", r"does not write \(Unsupported operand 149\)")


def test_an_absent_file_is_refused(tmp_path):
    one_line(tmp_path / "none.pth", "No such file")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([1, 2], "should hold a state dict, got list"),
        (torch.zeros(3), "should hold a state dict, got Tensor"),
        ({"epoch": 3, "loss": 0.5}, "should hold weights.*got epoch, loss"),
        (collections.OrderedDict(), "should hold weights.*got nothing"),
        ({"state_dict": None, "epoch": 3}, "should hold weights.*got epoch, state_dict = None"),
        ({"model": {"state_dict": None}}, "should hold weights.*got state_dict = None"),
    ],
)
def test_a_file_without_weights_is_refused(save, content, complaint):
    one_line(save(content), complaint)


def test_a_file_that_holds_itself_is_refused(save):
    content = {}
    content["model"] = content
    one_line(save(content), "should hold weights.*got model")
