"""Networks of 10 to 124 million weights, drawn from a seed, and a few inputs of theirs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from checkpoints.models.bottlenecks import BottleneckResNet
from cli.bench.gallery.sequence_networks import GPTClassifier, SelfAttention
from spectra.system.seeding import make_generator

CLASSES = 10
# GPT-2's vocabulary and the most tokens that it reads.
_VOCABULARY, _TOKENS = 50257, 1024
# As both papers draw their weights.
_DEVIATION = 0.02


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = SelfAttention(width, heads, causal=False)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map patches (n, length, width) to the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """ViT with patches of 16 pixels, as timm lays it out; Dosovitskiy et al. 2021."""

    def __init__(self, width: int, depth: int, heads: int, pixels: int = 224) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, stride=16)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, (pixels // 16) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(_Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, 3, 224, 224) to logits."""
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


def _gpt2(width: int, depth: int, heads: int) -> nn.Module:
    """GPT-2 with a head of classes on the last token; Radford et al. 2019."""
    return GPTClassifier(
        width, depth, heads, classes=CLASSES, vocabulary=_VOCABULARY, length=_TOKENS
    )


def _mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3072, 3768), nn.ReLU(), nn.Linear(3768, 3768), nn.ReLU(),
        nn.Linear(3768, CLASSES),
    )  # fmt: skip


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "gpt2": lambda: _gpt2(768, 12, 12),
    "gpt2-51m": lambda: _gpt2(512, 8, 8),
    "gpt2-26m": lambda: _gpt2(320, 8, 5),
    "gpt2-10m": lambda: _gpt2(160, 6, 4),
    "vit-b": lambda: VisionTransformer(768, 12, 12),
    "vit-s": lambda: VisionTransformer(384, 12, 6),
    "resnet50": lambda: BottleneckResNet(num_classes=CLASSES),
    "mlp": _mlp,
}


@dataclass(frozen=True)
class Subject:
    """A network and what it is asked about.

    Attributes:
        network: in training mode, as a user's is.
        inputs: (n, ...).
        labels: (n,).
    """

    network: nn.Module
    inputs: Tensor
    labels: Tensor


def make_subject(name: str, *, samples: int, length: int, pixels: int, seed: int) -> Subject:
    """Return a network of :data:`NETWORKS`, its weights drawn from ``seed``, and random inputs.

    Args:
        name: of the network.
        samples: n.
        length: tokens of each sample, of a GPT-2.
        pixels: of each side of an image, of a ResNet.
        seed: of weights and inputs.
    """
    network = NETWORKS[name]()
    draw = make_generator(seed, "large networks", name)
    with torch.no_grad():
        for name_of, parameter in network.named_parameters():
            if name_of.endswith("bias"):
                parameter.zero_()
            elif parameter.ndim == 4:  # of convolutions: the signal keeps its size
                fan = parameter[0].numel()
                parameter.normal_(0, (2 / fan) ** 0.5, generator=draw)
            elif parameter.ndim > 1:
                parameter.normal_(0, _DEVIATION, generator=draw)
    if name.startswith("gpt2"):
        inputs = torch.randint(_VOCABULARY, (samples, length), generator=draw)
    elif name == "mlp":
        inputs = torch.randn(samples, 3072, generator=draw)
    else:
        side = 224 if name.startswith("vit") else pixels
        inputs = torch.randn(samples, 3, side, side, generator=draw)
    return Subject(network, inputs, torch.arange(samples) % CLASSES)
