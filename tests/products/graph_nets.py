"""Small networks as people write them, each with a batch of its own, in float64."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectra import make_generator


@dataclass(frozen=True)
class Case:
    model: nn.Module
    batch: Tensor
    labels: Tensor

    @property
    def size(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)


class GroupNormBlock(nn.Module):
    """A residual block with group norm, and squeeze and excitation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(2, width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(2, width)
        self.squeeze, self.excite = nn.Conv2d(width, 2, 1), nn.Conv2d(2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.norm1(self.first(x)))
        h = self.norm2(self.second(h))
        gate = self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(h, 1))))
        return F.silu(x + h * gate.sigmoid())


class ConvNextBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        h = self.depthwise(x).permute(0, 2, 3, 1)
        h = self.narrow(F.gelu(self.wide(self.norm(h))))
        return x + (self.scale * h).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Self-attention with one matrix for queries, keys and values."""

    def __init__(self, width: int, heads: int, *, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.register_buffer("mask", torch.full((9, 9), float("-inf")).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5
        if self.causal:
            scores = scores + self.mask[:t, :t]
        h = scores.softmax(-1) @ v
        return self.out(h.transpose(1, 2).reshape(n, t, c))


class Block(nn.Module):
    def __init__(self, width: int, *, causal: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, 2, causal=causal)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1),
                                 nn.Linear(2 * width, width))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Patches, a class token, and embeddings of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, 6))
        self.positions = nn.Parameter(torch.zeros(1, 5, 6))
        self.blocks = nn.Sequential(Block(6))
        self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.size(0), -1, -1), x], dim=1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class TorchTransformer(nn.Module):
    """Torch's own encoder of two layers."""

    def __init__(self, *, norm_first: bool, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        layer = nn.TransformerEncoderLayer(
            8, 2, 12, batch_first=batch_first, norm_first=norm_first, activation="gelu"
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.batch_first:
            return self.head(self.encoder(x).mean(1))
        return self.head(self.encoder(x.transpose(0, 1)).mean(0))


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(8, 6)
        self.norm1, self.norm2 = nn.LayerNorm(6), nn.LayerNorm(6)
        self.places = nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 5))
        self.channels = nn.Sequential(nn.Linear(6, 7), nn.GELU(), nn.Linear(7, 6))
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.places(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(self.norm2(x))
        return self.head(x.mean(dim=1))


class Gpt(nn.Module):
    """Tokens, a causal block, and a head that is tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(11, 6), nn.Embedding(9, 6)
        self.block, self.norm = Block(6, causal=True), nn.LayerNorm(6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1], device=x.device)
        x = self.tokens(x) + self.positions(places)
        return self.head(self.norm(self.block(x)))[:, -1, :3]


class Gated(nn.Module):
    """Gates: GLU, SwiGLU, and a product of two halves."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.glu = nn.Linear(8, 10), nn.GLU()
        self.gate, self.up, self.down = nn.Linear(5, 6), nn.Linear(5, 6), nn.Linear(6, 8)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.glu(self.stem(x.mean(1)))
        x = self.down(F.silu(self.gate(x)) * self.up(x))
        a, b = (part for part in x.chunk(2, dim=-1))
        return self.head(2 * a * b - 1)


class Bare(nn.Module):
    """No layer of torch's, one parameter that nothing reads and one that is read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.idle = nn.Parameter(torch.ones(8, 8)), nn.Parameter(torch.ones(3))
        self.last = nn.Parameter(torch.ones(3, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(x.mean(1) @ self.first)
        return torch.tanh(x @ self.first) @ self.last.t()


class Recurrent(nn.Module):
    """An LSTM whose last output and last state are read."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(8, 4, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out, (h, _) = self.lstm(x)
        return self.head(torch.cat([out[:, -1].tanh(), h[-1]], -1))


class Stranger(nn.Module):
    """A module that branches on sizes, weights made in forward, and a scalar parameter."""

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8))

        def forward(self, x: Tensor) -> Tensor:
            for i in range(x.shape[1] - 1):
                if x.shape[-1] > 4:
                    x = x + self.weight * torch.sin(x) * (i + 1)
            return x

    def __init__(self) -> None:
        super().__init__()
        self.loop, self.bilinear = self.Loop(), nn.Bilinear(8, 8, 4)
        self.temperature = nn.Parameter(torch.tensor(1.0))
        self.weight = nn.Parameter(torch.ones(4, 4))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.loop(x)
        y = self.bilinear(x[:, 0], x[:, 1])
        y = F.linear(y, self.weight / self.weight.norm(dim=1, keepdim=True))
        y = torch.einsum("ni,ij->nj", y, self.weight.t()) * self.temperature.exp()
        return self.head(y / y.detach().new_tensor(2.0)) / (1 + self.temperature**2)


class Products(nn.Module):
    """Products of matrices and vectors, some of which are parameters, that broadcast."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(8, 6), nn.Linear(6, 3)
        self.matrix, self.vector = nn.Parameter(torch.ones(6, 6)), nn.Parameter(torch.ones(6))
        self.heads = nn.Parameter(torch.ones(2, 1, 6, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.matmul(self.stem(x), self.matrix)
        weights = torch.einsum("ntc,c->nt", x, self.vector)
        scores = torch.bmm(x, x.transpose(1, 2)) + (x @ self.vector)[..., None]
        y = torch.einsum("nts,nsc->ntc", scores, x) * weights.unsqueeze(-1)
        y = (y @ self.heads).sum(0).repeat(1, 1, 2)
        return self.head(y.mean(1)) + (self.vector @ self.matrix) @ self.vector


def images(n: int = 5) -> Tensor:
    return torch.randn(n, 3, 8, 8, generator=make_generator(0, "graph images")).double()


def sequences(n: int = 5) -> Tensor:
    return torch.randn(n, 5, 8, generator=make_generator(0, "graph sequences")).double()


def tokens(n: int = 5) -> Tensor:
    return torch.randint(0, 11, (n, 7), generator=make_generator(0, "graph tokens"))


def conv_net(*blocks: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


def made(build: Callable[[], nn.Module], batch: Callable[[], Tensor]) -> Callable[[], Case]:
    """Return a function that makes the case, its parameters drawn from a generator."""

    def make() -> Case:
        with torch.random.fork_rng(devices=[]):  # the constructors draw from the global generator
            model = build().double().eval()
        generator = make_generator(0, "graph nets")
        with torch.no_grad():
            for parameter in model.parameters():
                drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3
                parameter.copy_(scale * drawn + (0.7 if parameter.ndim == 1 else 0.0))
        return Case(model, batch(), torch.arange(5) % 3)

    return make


CASES: dict[str, Callable[[], Case]] = {
    "group-norm": made(lambda: conv_net(GroupNormBlock(4)), images),
    "convnext": made(lambda: conv_net(ConvNextBlock(4)), images),
    "pre-activation": made(
        lambda: conv_net(nn.BatchNorm2d(4), nn.ReLU6(), nn.Conv2d(4, 4, 3, padding="same")), images
    ),
    "vision-transformer": made(VisionTransformer, images),
    "encoder": made(lambda: TorchTransformer(norm_first=True, batch_first=True), sequences),
    "encoder-sequence-first": made(
        lambda: TorchTransformer(norm_first=False, batch_first=False), sequences
    ),
    "mixer": made(Mixer, sequences),
    "gpt": made(Gpt, tokens),
    "gated": made(Gated, sequences),
    "lstm": made(Recurrent, sequences),
    "products": made(Products, sequences),
    "bare": made(Bare, sequences),
    "stranger": made(Stranger, sequences),
}
