import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from checkpoints import Architecture, build_model
from checkpoints.choices import ARCHITECTURES
from checkpoints.models import CosineHead, initialise
from checkpoints.models.resnet import PadShortcut
from spectra import make_generator
from spectra.errors import InputError


def build(name: str = "resnet8", **fields) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return build_model(Architecture(name, **{"num_classes": 10, **fields}))


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# --- parameters -------------------------------------------------------------------------------


def test_resnet32_has_the_papers_number_of_parameters():
    assert size(build("resnet32")) == 464_154


@pytest.mark.parametrize("depth", [8, 14, 20, 26, 32, 44, 56, 110])
def test_six_more_layers_are_three_more_blocks(depth):
    # one block of 16, 32 and 64 channels: 2 · 9 · c² weights and 2 · 2 · c of batch norm each
    blocks = sum(18 * c * c + 4 * c for c in (16, 32, 64))
    assert size(build(f"resnet{depth}")) == 464_154 + (depth - 32) // 6 * blocks


def test_digits_resnet_has_its_documented_size():
    # stem 9·16 + 32; block of 16: 4,608 + 64; block 16 → 32: 9·16·32 + 9·32² + 128; head 330
    assert size(build("digits-resnet", in_channels=1)) == 176 + 4672 + 13952 + 330 == 19_130


def test_softmax_has_one_weight_a_pixel_and_class():
    assert size(build("softmax", in_channels=3, image_size=4)) == 10 * (3 * 16 + 1)


def test_cosine_head_has_no_bias():
    assert size(build("resnet32", head="cosine")) == 464_154 - 10


def test_shortcut_b_adds_two_projections():
    # 1x1 convolutions 16·32 and 32·64, batch norm 2·32 and 2·64
    assert size(build("resnet8", shortcut="B")) - size(build("resnet8")) == 512 + 2048 + 64 + 128


def test_resnet_keys_are_those_of_the_cifar_code_bases():
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {"conv1.weight", "linear.weight", "linear.bias"} | {f"bn1.{x}" for x in norm}
    for block in (f"layer{stage}.{i}" for stage in (1, 2, 3) for i in range(5)):
        for k in (1, 2):
            expected |= {f"{block}.conv{k}.weight"} | {f"{block}.bn{k}.{x}" for x in norm}
    assert set(build("resnet32").state_dict()) == expected


def test_shortcut_b_keys_are_those_of_the_cifar_code_bases():
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    added = set(build("resnet8", shortcut="B").state_dict()) - set(build("resnet8").state_dict())
    assert added == {
        f"layer{stage}.0.shortcut.{x}"
        for stage in (2, 3)
        for x in ("0.weight", *(f"1.{n}" for n in norm))
    }


def test_cosine_weight_has_one_column_a_class():
    assert build("resnet8", head="cosine", num_classes=7).linear.weight.shape == (64, 7)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_maps_images_to_one_output_a_class(name):
    model = build(name, num_classes=7, in_channels=2, image_size=8).eval()
    images = torch.randn(3, 2, 8, 8, generator=make_generator(0, "images"))
    with torch.no_grad():
        assert model(images).shape == (3, 7)


# --- shortcuts --------------------------------------------------------------------------------


def test_shortcut_a_takes_every_second_pixel_between_channels_of_zeros():
    x = torch.randn(2, 4, 6, 6, generator=make_generator(0, "shortcut"))
    expected = torch.zeros(2, 8, 3, 3)
    for c in range(4):
        for i in range(3):
            for j in range(3):
                expected[:, 2 + c, i, j] = x[:, c, 2 * i, 2 * j]
    assert torch.equal(PadShortcut(4, 8, 2)(x), expected)


def test_shortcut_b_is_a_strided_projection_to_the_new_width():
    shortcut = build("resnet8", shortcut="B").layer3[0].shortcut
    assert (shortcut[0].weight.shape, shortcut[0].stride) == ((64, 32, 1, 1), (2, 2))


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_stages_halve_the_image_and_double_the_width(shortcut):
    model = build("resnet8", shortcut=shortcut).eval()
    shapes = []
    for stage in (model.layer1, model.layer2, model.layer3):
        stage.register_forward_hook(lambda module, inputs, out: shapes.append(tuple(out.shape)))
    with torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    assert shapes == [(1, 16, 32, 32), (1, 32, 16, 16), (1, 64, 8, 8)]


# --- cosine head ------------------------------------------------------------------------------


def cosine_head() -> tuple[CosineHead, torch.Tensor]:
    head = CosineHead(6, 4).double()
    generator = make_generator(0, "cosine head")
    with torch.no_grad():
        head.weight.copy_(torch.randn(6, 4, generator=generator))
    return head, 3 * torch.randn(20, 6, generator=generator, dtype=torch.float64)


def test_cosine_head_returns_cosines_of_the_angles():
    head, features = cosine_head()
    weight = head.weight.detach()
    expected = [[f @ w / (f @ f * (w @ w)).sqrt() for w in weight.T] for f in features]
    # float64 dot products of 6 terms
    torch.testing.assert_close(
        head(features).detach(), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-14
    )


def test_cosine_of_a_feature_with_its_own_direction_is_one():
    head, _ = cosine_head()
    own = head(5 * head.weight.T).diagonal()
    # float64 rounding of a unit vector's norm
    torch.testing.assert_close(own, torch.ones_like(own), rtol=0, atol=1e-14)


@pytest.mark.parametrize("what", ["features", "weight"])
def test_cosine_head_does_not_see_the_length_of(what):
    head, features = cosine_head()
    before = head(features)
    if what == "weight":
        with torch.no_grad():
            head.weight.mul_(1024)
    else:
        features = 1024 * features
    # a power of two changes exponents alone, but F.normalize's norm may round differently
    torch.testing.assert_close(head(features), before, rtol=0, atol=1e-14)


# --- initialisation ---------------------------------------------------------------------------


def initialised(seed: int, **fields) -> torch.Tensor:
    model = build("resnet8", **fields)
    initialise(model, make_generator(seed, "weights"))
    return nn.utils.parameters_to_vector(model.parameters()).detach()


@pytest.mark.parametrize("head", ["linear", "cosine"])
def test_initial_weights_do_not_depend_on_the_global_generator(head):
    drawn = []
    for state in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state)
            model = build_model(Architecture("resnet8", 10, head=head))
            initialise(model, make_generator(0, "weights"))
        drawn.append(nn.utils.parameters_to_vector(model.parameters()).detach())
    assert torch.equal(*drawn)


def test_initial_weights_follow_their_seed():
    assert not torch.equal(initialised(0), initialised(1))


def test_initialisation_leaves_the_global_generator_alone():
    model = build("resnet8", head="cosine")
    before = torch.get_rng_state()
    initialise(model, make_generator(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_convolutions_start_with_the_variance_of_he():
    model = build("resnet8")
    initialise(model, make_generator(0, "variance"))
    weight = model.layer3[0].conv2.weight.detach()
    # 36,864 normal draws: their variance deviates by sqrt(2/36864) = .7 %; 5 deviations
    assert float(weight.var()) == pytest.approx(2 / (64 * 9), rel=0.037)


def test_biases_start_at_zero():
    model = build("resnet8")
    initialise(model, make_generator(0))
    assert not model.linear.bias.any()


def test_columns_of_a_cosine_head_start_with_length_one():
    model = build("resnet8", head="cosine")
    initialise(model, make_generator(0))
    # float32 rounding of 64 squares
    torch.testing.assert_close(model.linear.weight.norm(dim=0), torch.ones(10), rtol=0, atol=1e-6)


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "resnet9", "resnet", "vgg", "", "resnet32x"])
def test_an_unknown_architecture_is_refused(name):
    with pytest.raises(InputError, match="unknown architecture"):
        build(name)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"head": "linaer"}, "head must be linear or cosine"),
        ({"shortcut": "C"}, "shortcut must be A or B"),
        ({"name": "softmax", "head": "cosine"}, "linear head only"),
    ],
)
def test_a_bad_option_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        build(**fields)


FACTORIES = """
from torch import nn

def net(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(12, num_classes))

def no_argument():
    return nn.Linear(1, 1)

def two_arguments(num_classes, width):
    return nn.Linear(1, 1)

def not_a_module(num_classes):
    return 3

def refuses(num_classes):
    raise ValueError("at least 12 classes, please")

constant = 3
"""


@pytest.fixture
def user_module(tmp_path, monkeypatch) -> str:
    (tmp_path / "user_nets.py").write_text(FACTORIES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "user_nets", raising=False)
    yield "user_nets"
    sys.modules.pop("user_nets", None)


def test_a_users_factory_is_called_with_the_number_of_classes(user_module):
    assert build(f"{user_module}:net", num_classes=7)[1].out_features == 7


def test_a_users_factory_without_arguments_is_called_without(user_module):
    assert build(f"{user_module}:no_argument").out_features == 1


@pytest.mark.parametrize(
    "factory", ["absent", "two_arguments", "not_a_module", "refuses", "constant", ""]
)
def test_a_users_factory_that_does_not_work_is_refused_in_one_line(user_module, factory):
    with pytest.raises(InputError) as error:
        build(f"{user_module}:{factory}")
    assert f"{user_module}:{factory}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["no_such_module_anywhere:net", ":net", "..relative:net"])
def test_a_module_that_cannot_be_imported_is_refused(name):
    with pytest.raises(InputError, match="cannot build"):
        build(name)


def test_resnet_pools_over_the_whole_image():
    model = build("resnet8").eval()
    features = []
    model.linear.register_forward_hook(lambda module, inputs, out: features.append(inputs[0]))
    maps = []
    model.layer3.register_forward_hook(lambda module, inputs, out: maps.append(out))
    with torch.no_grad():
        model(torch.randn(2, 3, 32, 32, generator=make_generator(0, "pool")))
    # float32 mean of 64 numbers, in another order
    torch.testing.assert_close(
        features[0], F.avg_pool2d(maps[0], 8).flatten(1), rtol=1e-5, atol=1e-6
    )
