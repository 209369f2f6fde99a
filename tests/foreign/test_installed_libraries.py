"""Products of the real models of timm and transformers, made from configurations alone.

Run by ``make test-foreign``, which installs the two. Nothing is downloaded.
"""

import importlib
import importlib.util
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from foreign_case import DOUBLE, Case, built, plain_products
from oracles import random_vector
from torch import Tensor, nn

from checkpoints import Architecture, build_model
from spectra import HessianOperator

pytestmark = [pytest.mark.foreign, pytest.mark.filterwarnings("ignore")]

# What a model is shrunk by, where its name stands for a large one.
SMALL_VIT = {"img_size": 32, "patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2}
TIMM: dict[str, dict] = {
    "resnet10t": {},
    "mobilenetv3_small_050": {},
    "efficientnet_lite0": {},
    "convnext_atto": {},
    "regnetx_002": {},
    "vit_tiny_patch16_224": SMALL_VIT,
    "deit_tiny_patch16_224": SMALL_VIT,
    "cait_xxs24_224": SMALL_VIT,
    "gmlp_ti16_224": {"img_size": 32},
    "edgenext_xx_small": {},
    "swin_tiny_patch4_window7_224": {
        "img_size": 32, "window_size": 2, "embed_dim": 12, "depths": (2, 2), "num_heads": (2, 2),
    },
    "repvit_m0_9": {},
}  # fmt: skip
# Positions in float32, whatever the type of the model: float64 there is better than theirs.
TIMM_IN_FLOAT32 = ("edgenext_xx_small",)

TEXT = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "vocab_size": 20, "max_position_embeddings": 16, "num_labels": 3,
}  # fmt: skip
IMAGE = {"image_size": 16, "patch_size": 8, "num_labels": 3}
# The model, fields of its configuration, and whether it works in float32 inside, whatever its type.
TRANSFORMERS: dict[str, tuple[dict, bool]] = {
    "BertForSequenceClassification": (TEXT, False),
    "RobertaForSequenceClassification": (TEXT | {"max_position_embeddings": 20}, False),
    "DistilBertForSequenceClassification": (
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "vocab_size": 20,
         "num_labels": 3},
        False,
    ),
    "GPT2ForSequenceClassification": (
        {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 20, "num_labels": 3,
         "pad_token_id": 0},
        False,
    ),
    "LlamaForSequenceClassification": (TEXT | {"num_key_value_heads": 1, "pad_token_id": 0}, True),
    "ViTForImageClassification": (TEXT | IMAGE, False),
    "ConvNextForImageClassification": (
        {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "num_labels": 3}, False,
    ),
    "ResNetForImageClassification": (
        {"embedding_size": 8, "hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1],
         "layer_type": "basic", "num_labels": 3},
        False,
    ),
}  # fmt: skip


def installed(name: str) -> ModuleType:
    """Return a library; skip the test where it is not installed or does not import."""
    _declare_operations_of_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed: make test-foreign")


def _declare_operations_of_torchvision() -> None:
    """Have torchvision import where its compiled part does not fit torch; both libraries ask it.

    Its operations are then declared, and have no kernels: nothing here calls them.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    try:
        importlib.import_module("torchvision")
        return
    except (RuntimeError, ImportError, OSError):
        pass
    text = (Path(spec.origin).parent / "_meta_registrations.py").read_text("utf-8")
    for name in set(re.findall(r'(?:register_meta\("|torchvision::)(\w+)', text)):
        if not hasattr(torch.ops.torchvision, name):
            LIBRARY.define(f"{name}() -> ()")


LIBRARY = torch.library.Library("torchvision", "FRAGMENT")


def check(
    make: Callable[[], nn.Module],
    inputs: Tensor,
    outputs: Callable[[nn.Module, Tensor], Tensor],
    *,
    double: float,
) -> None:
    case = Case(make, reference=outputs)
    model, labels = built(case), torch.arange(len(inputs)) % 3
    for dtype, bound in ((DOUBLE, double), (torch.float32, 1e-5)):
        given = inputs.to(dtype) if inputs.is_floating_point() else inputs
        op = HessianOperator(model, given, labels, dtype=dtype)
        v = random_vector(op.size, "v")
        expected = plain_products(case, model, inputs, labels)(v)
        error = float((op.matvec(v.to(dtype)).double() - expected).norm() / expected.norm())
        assert error <= bound


def with_written_hardsigmoid(model: nn.Module, x: Tensor) -> Tensor:
    """Return the outputs by a hardsigmoid that torch differentiates twice."""
    with mock.patch.object(F, "hardsigmoid", lambda x, inplace=False: F.relu6(x + 3) / 6):
        return model(x)


@pytest.mark.parametrize("name", TIMM)
def test_products_of_timm_are_those_of_double_backward(name):
    timm = installed("timm")
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    check(
        lambda: timm.create_model(name, num_classes=3, **TIMM[name]),
        images,
        with_written_hardsigmoid,
        double=1e-8 if name in TIMM_IN_FLOAT32 else 1e-10,
    )


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_products_of_transformers_are_those_of_double_backward(name):
    transformers = installed("transformers")
    fields, works_in_float32 = TRANSFORMERS[name]
    kind = getattr(transformers, name)
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randint(1, 20, (4, 7), generator=rng)
    if "Image" in name:
        inputs = torch.randn(4, 3, fields.get("image_size", 32), fields.get("image_size", 32),
                             generator=rng)  # fmt: skip
    # The network itself rounds to float32 then, which ours does not.
    check(
        lambda: kind(kind.config_class(**fields)),
        inputs,
        lambda m, x: m(x).logits,
        double=1e-5 if works_in_float32 else 1e-10,
    )


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_resnet50_is_that_of_the_libraries_weight_by_weight(library):
    found = installed(library)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        make = found.models.resnet50 if library == "torchvision" else found.create_model
        theirs = make(**({} if library == "torchvision" else {"model_name": "resnet50"}))
        images = torch.randn(2, 3, 64, 64, dtype=DOUBLE)
        theirs.double().train()(images)  # running averages that are not 0 and 1
    ours = build_model(Architecture("resnet50", 1000)).double().eval()
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        expected, outputs = theirs.eval()(images), ours(images)
    # 50 layers of sums in float64, in another order
    assert float((outputs - expected).norm()) <= 1e-12 * float(expected.norm())
