"""A network and data of the user's own, from files to eigenvalues."""

import sys

import pytest
import torch
from oracles import cross_entropy
from torch.func import functional_call, hessian

from checkpoints import AnalysisRequest, LoadOptions, analyze, load_checkpoint
from spectra import SolverSettings
from spectra.errors import InputError

NET = """
import torch
from torch import nn

class Tokens(nn.Module):
    def __init__(self, num_labels=3):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.head = nn.Linear(4, num_labels)

    def features(self, input_ids, attention_mask):
        kept = attention_mask[..., None].to(self.embedding.weight.dtype)
        return torch.tanh((self.embedding(input_ids) * kept).sum(1))

    def forward(self, input_ids, attention_mask):
        return {"logits": self.head(self.features(input_ids, attention_mask)), "loss": None}

class Pixels(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.head(torch.tanh(self.conv(x)).mean(dim=(2, 3)))
"""
DATA = """
import torch

def texts(kind=dict):
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, 7, (12, 5), generator=generator)
    mask = torch.rand(12, 5, generator=generator) < 0.8
    mask[:, 0] = True
    batch = {"input_ids": ids, "attention_mask": mask, "text": ["a"] * 12}
    first = {k: v[:6] for k, v in batch.items()}
    return (batch, torch.arange(12) % 3), (first, torch.arange(6) % 3)

def pictures(channels=3):
    generator = torch.Generator().manual_seed(3)
    return torch.rand(12, channels, 5, 5, generator=generator), torch.arange(12) % 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "own_tokens_net.py").write_text(NET)
    (tmp_path / "own_tokens_data.py").write_text(DATA)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("own_tokens_")]:
        del sys.modules[name]


def saved(folder, name):
    """Save weights of a network, wrapped, and return where, and how it is named."""
    import importlib

    sys.path.insert(0, str(folder))
    kind = getattr(importlib.import_module("own_tokens_net"), name)
    sys.path.remove(str(folder))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = kind()
    torch.save({"state_dict": torch.nn.DataParallel(network).state_dict()}, folder / "net.pth")
    return load_checkpoint(folder / "net.pth", LoadOptions(arch=f"own_tokens_net:{name}"))


def test_token_ids_and_a_mask_give_the_eigenvalues_of_the_dense_hessian(folder):
    checkpoint = saved(folder, "Tokens")
    solver = SolverSettings(num_probes=0, tol=1e-8, max_steps=200)
    request = AnalysisRequest(classes="1", dtype="float64", solver=solver)
    found = analyze(checkpoint, "own_tokens_data.py:texts", request).record("1")

    from own_tokens_data import texts

    (batch, labels), _ = texts()
    model, of_class = checkpoint.model().double(), labels == 1
    sizes = {name: p.shape for name, p in model.named_parameters()}

    def loss(flat):
        parts = flat.split([shape.numel() for shape in sizes.values()])
        named = {n: p.view(s) for (n, s), p in zip(sizes.items(), parts, strict=True)}
        inputs = {k: batch[k][of_class] for k in ("input_ids", "attention_mask")}
        outputs = functional_call(model, named, (), inputs)["logits"]
        return cross_entropy(outputs, labels[of_class]).mean()

    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    exact = torch.linalg.eigvalsh(hessian(loss)(flat))
    # an eigenvalue lies within the residual norm, which is at most tol of the largest
    tolerance = 1e-8 * float(exact.abs().max())
    assert found.lambda_min == pytest.approx(float(exact[0]), abs=tolerance)
    assert found.lambda_max == pytest.approx(float(exact[-1]), abs=tolerance)
    assert found.n == 4
    assert found.accuracy is not None


def test_the_same_data_have_the_same_digest_and_others_another(folder):
    from checkpoints import load_data

    first, second = (load_data("own_tokens_data.py:texts") for _ in range(2))
    assert first.digest() == second.digest()
    assert first.digest() != load_data("own_tokens_data.py:pictures").digest()


@pytest.mark.parametrize(
    ("source", "images", "message"),
    [
        (
            "pictures(channels=1)",
            "plain",
            "net takes images in colour, 3 .* grey",
        ),
        ("texts", "plain", "cannot take these inputs"),
        ("pictures", "frozen:2", r"needs images of 8-bit pixels \(uint8\)"),
    ],
)
def test_data_that_a_network_does_not_take_are_refused_in_one_line(folder, source, images, message):
    checkpoint = saved(folder, "Pixels")
    with pytest.raises(InputError, match=message) as error:
        analyze(checkpoint, f"own_tokens_data.py:{source}", AnalysisRequest(images=images))
    assert "\n" not in str(error.value)
