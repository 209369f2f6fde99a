"""Networks that mix places and features by other means than convolution and attention."""

import torch
import torch.nn.functional as F
from foreign_case import Case, Wired, parameter
from torch import Tensor, nn


def mixer(m, x: Tensor) -> Tensor:
    x = m.into(x)
    x = x + m.places(m.norm1(x).transpose(1, 2)).transpose(1, 2)
    return m.head((x + m.features(m.norm2(x))).mean(1))


def spatial_gate(m, x: Tensor) -> Tensor:
    u, v = F.gelu(m.into(x)).chunk(2, -1)
    v = m.gate(m.norm(v).transpose(1, 2)).transpose(1, 2)
    return m.head((u * v).mean(1))


def fourier(m, x: Tensor) -> Tensor:
    return m.head(m.norm(torch.fft.fft2(m.into(x)).real).tanh().mean(1))


def global_filter(m, x: Tensor) -> Tensor:
    spectrum = torch.fft.rfft2(m.into(x), norm="ortho") * torch.view_as_complex(m.filter)
    return m.head(F.gelu(torch.fft.irfft2(spectrum, s=(8, 8), norm="ortho")).mean((2, 3)))


def pooling(m, x: Tensor) -> Tensor:
    y = m.norm(m.into(x))
    return m.head(
        (y + m.scale * (F.avg_pool2d(y, 3, 1, 1, count_include_pad=False) - y)).mean((2, 3))
    )


def highway(m, x: Tensor) -> Tensor:
    for layer, gate in zip(m.layers, m.gates, strict=True):
        open_ = gate(x).sigmoid()
        x = open_ * layer(x).tanh() + (1 - open_) * x
    return m.head(x)


def experts(m, x: Tensor) -> Tensor:
    """The two best of three experts for every input."""
    shares, chosen = m.router(x).topk(2, -1)
    every = torch.stack([expert(x) for expert in m.experts], 1)
    picked = every.gather(1, chosen[..., None].expand(-1, -1, 3))
    return (shares.softmax(-1)[..., None] * picked).sum(1)


def capsules(m, x: Tensor) -> Tensor:
    u = m.into(x).unflatten(1, (4, 3))
    square = (u * u).sum(-1, keepdim=True)
    u = u * square / (1 + square) / (square + 1e-8).sqrt()
    return torch.einsum("nij,jkc->nc", u, m.votes)


def hyper(m, x: Tensor) -> Tensor:
    weight = m.maker(x.mean(1, keepdim=True)).unflatten(1, (3, 8))
    return torch.bmm(weight, x[..., None])[..., 0]


def coupled(m, x: Tensor) -> Tensor:
    a, b = x.chunk(2, 1)
    b = b * torch.exp(m.scale(a).tanh()) + m.shift(a)
    return m.head(torch.cat([a, b], 1))


def euler(m, x: Tensor) -> Tensor:
    for _ in range(3):
        x = x + m.field(x) / 3
    return m.head(x)


def prototypes(m, x: Tensor) -> Tensor:
    return -torch.cdist(m.into(x).tanh(), m.centres)


def prototypes_written_out(m, x: Tensor) -> Tensor:
    return -(m.into(x).tanh()[:, None] - m.centres).norm(dim=2)


def radial(m, x: Tensor) -> Tensor:
    return m.head(torch.exp(-torch.cdist(x, m.centres).square() * m.widths.exp()))


def radial_written_out(m, x: Tensor) -> Tensor:
    square = (x[:, None] - m.centres).square().sum(2)
    return m.head(torch.exp(-square * m.widths.exp()))


def cosines(m, x: Tensor) -> Tensor:
    return m.scale.exp() * F.linear(F.normalize(m.into(x)), F.normalize(m.weight))


def similarities(m, x: Tensor) -> Tensor:
    return 4 * F.cosine_similarity(m.into(x)[:, None], m.weight[None], dim=-1)


def kolmogorov(m, x: Tensor) -> Tensor:
    """Sums of learned functions of single inputs, each of some bumps."""
    bumps = torch.exp(-(x[..., None] - torch.linspace(-1, 1, 3)).square())
    return torch.einsum("nib,oib->no", bumps, m.heights)


def kolmogorov_in_float64(m, x: Tensor) -> Tensor:
    bumps = torch.exp(-(x[..., None] - torch.linspace(-1, 1, 3, dtype=x.dtype)).square())
    return torch.einsum("nib,oib->no", bumps, m.heights)


def bilinear(m, x: Tensor) -> Tensor:
    return m.out(m.first(x).tanh(), m.second(x).sigmoid())


def maxout(m, x: Tensor) -> Tensor:
    return m.head(m.into(x).unflatten(1, (6, 2)).amax(2))


def modulated(m, x: Tensor) -> Tensor:
    """Feature-wise scales and shifts that the image itself decides (FiLM)."""
    scale, shift = m.film(x.mean((2, 3))).chunk(2, 1)
    y = m.norm(m.conv(x)) * (1 + scale[..., None, None]) + shift[..., None, None]
    return m.head(F.relu(y).mean((2, 3)))


L = nn.Linear
CASES = {
    "MLP-Mixer": Case(
        lambda: Wired(
            mixer,
            into=L(4, 6),
            norm1=nn.LayerNorm(6),
            norm2=nn.LayerNorm(6),
            head=L(6, 3),
            places=nn.Sequential(L(5, 6), nn.GELU(), L(6, 5)),
            features=nn.Sequential(L(6, 8), nn.GELU(), L(8, 6)),
        ),
        "sequences",
    ),
    "gMLP": Case(
        lambda: Wired(spatial_gate, into=L(4, 8), norm=nn.LayerNorm(4), gate=L(5, 5), head=L(4, 3)),
        "sequences",
    ),
    "FNet": Case(
        lambda: Wired(fourier, into=L(4, 6), norm=nn.LayerNorm(6), head=L(6, 3)), "sequences"
    ),
    "global filters": Case(
        lambda: Wired(
            global_filter, into=nn.Conv2d(3, 4, 1), filter=parameter(4, 8, 5, 2), head=L(4, 3)
        )
    ),
    "PoolFormer": Case(
        lambda: Wired(
            pooling,
            into=nn.Conv2d(3, 4, 2),
            norm=nn.GroupNorm(1, 4),
            scale=parameter(4, 1, 1),
            head=L(4, 3),
        )
    ),
    "highway": Case(
        lambda: Wired(
            highway,
            layers=nn.ModuleList([L(8, 8), L(8, 8)]),
            gates=nn.ModuleList([L(8, 8), L(8, 8)]),
            head=L(8, 3),
        ),
        "vectors",
    ),
    "mixture of experts": Case(
        lambda: Wired(experts, router=L(8, 3), experts=nn.ModuleList(L(8, 3) for _ in range(3))),
        "vectors",
    ),
    "capsules": Case(lambda: Wired(capsules, into=L(8, 12), votes=parameter(3, 2, 3)), "vectors"),
    "hypernetwork": Case(lambda: Wired(hyper, maker=L(1, 24)), "vectors"),
    "coupling": Case(lambda: Wired(coupled, scale=L(4, 4), shift=L(4, 4), head=L(8, 3)), "vectors"),
    "neural ODE": Case(
        lambda: Wired(euler, field=nn.Sequential(L(8, 6), nn.Tanh(), L(6, 8)), head=L(8, 3)),
        "vectors",
    ),
    "prototypes": Case(
        lambda: Wired(prototypes, into=L(8, 5), centres=parameter(3, 5)),
        "vectors",
        prototypes_written_out,
    ),
    "radial basis": Case(
        lambda: Wired(radial, centres=parameter(5, 8), widths=parameter(5), head=L(5, 3)),
        "vectors",
        radial_written_out,
    ),
    "cosine head": Case(
        lambda: Wired(cosines, into=L(8, 5), weight=parameter(3, 5), scale=parameter()), "vectors"
    ),
    "cosine similarity": Case(
        lambda: Wired(similarities, into=L(8, 5), weight=parameter(3, 5)), "vectors"
    ),
    "Kolmogorov-Arnold": Case(
        lambda: Wired(kolmogorov, heights=parameter(3, 8, 3)), "vectors", kolmogorov_in_float64
    ),
    "bilinear": Case(
        lambda: Wired(bilinear, first=L(8, 4), second=L(8, 5), out=nn.Bilinear(4, 5, 3)), "vectors"
    ),
    "maxout": Case(lambda: Wired(maxout, into=L(8, 12), head=L(6, 3)), "vectors"),
    "FiLM": Case(
        lambda: Wired(
            modulated,
            conv=nn.Conv2d(3, 4, 3),
            norm=nn.BatchNorm2d(4, affine=False),
            film=L(3, 8),
            head=L(4, 3),
        )
    ),
}
