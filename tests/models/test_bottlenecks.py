"""ResNet-50: its size, its first weights, and what it is trained on by default."""

import pytest
import torch

from checkpoints import Architecture, build_model
from checkpoints.models import initialise
from checkpoints.models.bottlenecks import BottleneckResNet
from checkpoints.training.request import default_architecture
from spectra import make_generator


def test_resnet50_has_the_number_of_parameters_of_torchvisions():
    with torch.device("meta"):
        model = build_model(Architecture("resnet50", 1000))
    assert sum(p.numel() for p in model.parameters()) == 25_557_032


@pytest.mark.parametrize(
    ("family", "size", "name"),
    [
        ("imagenet-lt", 224, "resnet50"),
        ("inaturalist18", 64, "resnet50"),
        ("imagenet-lt", 32, "resnet32"),
        ("cifar10", 224, "resnet32"),
        ("digits", 8, "digits-resnet"),
    ],
)
def test_photographs_of_the_two_data_sets_are_for_resnet50(family, size, name):
    assert default_architecture(family, size) == name


def test_cosine_head_of_a_resnet50_is_the_published_one():
    with torch.device("meta"):
        model = build_model(Architecture("resnet50", 1000, head="cosine"))
    assert {k: tuple(v.shape) for k, v in model.state_dict().items() if k[:2] == "fc"} == {
        "fc.weight": (2048, 1000)
    }


def test_photographs_come_to_a_thirty_second_of_their_size():
    with torch.device("meta"):
        model = build_model(Architecture("resnet50", 10)).eval()
        seen = []
        model.layer4.register_forward_hook(lambda m, inputs, out: seen.append(tuple(out.shape)))
        model(torch.zeros(2, 3, 224, 224))
    assert seen == [(2, 2048, 7, 7)]


def test_a_resnet_50_starts_with_the_variances_of_torchvision():
    with torch.random.fork_rng(devices=[]):
        model = BottleneckResNet(num_classes=50, blocks=(1, 1, 1, 1), planes=(8, 8, 8, 64))
    initialise(model, make_generator(0, "variance"))
    conv, fc = model.layer4[0].conv2.weight.detach(), model.fc.weight.detach()
    # 36,864 and 12,800 normal draws: their variances deviate by .7 and 1.3 %; 5 deviations
    assert float(conv.var()) == pytest.approx(2 / (64 * 9), rel=0.037)
    assert float(fc.var()) == pytest.approx(1 / (3 * 256), rel=0.063)
