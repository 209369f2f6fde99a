import pytest
import torch
from foreign_files import arch, prefixed, rename, state

from checkpoints.formats.foreign import load_foreign
from checkpoints.models import Architecture, build_model
from checkpoints.models.registry import CIFAR_DEPTHS
from spectra.errors import InputError


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
    with pytest.raises(
        InputError, match=r"name it: spectra analyze .*net\.pth --arch net\.py:Net \(the"
    ):
        load_foreign(save({"encoder.weight": torch.zeros(4, 4)}))


def test_a_head_inside_a_part_of_the_network_is_named(save):
    weights = {**prefixed(state(), "backbone."), "projector.weight": torch.zeros(2, 2)}
    with pytest.raises(InputError, match=r"though there is backbone\.linear\.weight; they are"):
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


def test_the_message_on_an_unknown_network_shows_its_keys_and_no_softmax_regression(save):
    weights = {"stem.weight": torch.zeros(8, 3, 3, 3), "blocks.0.w": torch.zeros(4, 4)}
    weights |= {"blocks.1.w": torch.zeros(4, 4), "fc.weight": torch.zeros(3, 4)}
    with pytest.raises(InputError) as error:
        load_foreign(save(weights))
    told = str(error.value)
    assert "no architecture that is known here" in told
    assert "stem.weight (8, 3, 3, 3); blocks.0.w (4, 4) and 1 more of blocks.*" in told
    assert "fc.weight (3, 4)" in told, "keys as the file has them"
    assert "softmax" not in told


def test_a_network_that_lies_beside_the_file_is_named_in_the_command(save, tmp_path):
    source = "from torch import nn\nclass Part(nn.Module):\n    pass\n"
    source += "class Whole(nn.Module):\n    def __init__(self):\n        self.part = Part()\n"
    (tmp_path / "own.py").write_text(source + "raise SystemExit('this was run')\n")
    with pytest.raises(InputError, match=r"--arch \S+/own\.py:Whole; or"):
        load_foreign(save({"encoder.weight": torch.zeros(4, 4)}))


def test_a_criterion_beside_a_known_network_is_noted(save):
    loaded = load_foreign(save({**state(), "criterion.weight": torch.ones(10)}))
    assert loaded.architecture.name == "resnet8"
    assert any("criterion.weight" in note for note in loaded.notes)


# --- ResNet-50 --------------------------------------------------------------------------------


def photo_state(head="linear", classes=1000):
    with torch.device("meta"):
        described = state("resnet50", classes, head=head)
    return {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in described.items()}


@pytest.mark.parametrize("head", ["linear", "cosine"])
def test_a_resnet_50_is_recognised_under_the_names_of_torchvision(save, head):
    found = arch(save(prefixed(photo_state(head))))
    assert found == Architecture("resnet50", 1000, image_size=224, head=head)


def test_a_resnet_50_under_the_names_of_cifar_codes_gets_those_of_torchvision(save):
    weights = rename(rename(photo_state(), "fc.", "linear."), "downsample.", "shortcut.")
    assert set(load_foreign(save(weights)).state) == set(photo_state())


def test_a_resnet_50_of_another_stem_is_refused(save):
    weights = photo_state() | {"conv1.weight": torch.zeros(64, 3, 3, 3)}
    with pytest.raises(InputError, match=r"do not fit resnet50 .* conv1.weight is \(64, 3, 3, 3\)"):
        load_foreign(save(weights))
