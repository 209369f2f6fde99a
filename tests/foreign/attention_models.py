"""Transformers, and other networks with attention."""

import torch
import torch.nn.functional as F
from foreign_case import Case, Classifier, Wired, parameter
from torch import Tensor, nn

D = 8


def heads(x: Tensor, count: int = 2) -> Tensor:
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def block(attend: nn.Module, *, norm=nn.LayerNorm, feed: nn.Module | None = None) -> nn.Module:
    feed = feed or nn.Sequential(nn.Linear(D, 2 * D), nn.GELU(), nn.Linear(2 * D, D))
    return Wired(
        lambda m, x: (y := x + m.attend(m.norm1(x))) + m.feed(m.norm2(y)),
        attend=attend, norm1=norm(D), norm2=norm(D), feed=feed,
    )  # fmt: skip


def torch_attention(**options) -> nn.Module:
    return Wired(
        lambda m, x: m.inner(x, x, x, **options)[0],
        inner=nn.MultiheadAttention(D, 2, batch_first=True),
    )


def fused_attention(causal: bool = False) -> nn.Module:
    def forward(m, x: Tensor) -> Tensor:
        q, k, v = (heads(part) for part in m.qkv(x).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return m.out(y.transpose(1, 2).flatten(2))

    return Wired(forward, qkv=nn.Linear(D, 3 * D), out=nn.Linear(D, D))


def scored_attention(bias) -> nn.Module:
    """Attention by matrix products; ``bias(m, scores)`` returns what the softmax is taken of."""

    def forward(m, x: Tensor) -> Tensor:
        q, k, v = (heads(part) for part in m.qkv(x).chunk(3, -1))
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        return m.out((bias(m, scores).softmax(-1) @ v).transpose(1, 2).flatten(2))

    return Wired(forward, qkv=nn.Linear(D, 3 * D), out=nn.Linear(D, D))


def vit(attend: nn.Module) -> nn.Module:
    def forward(m, x: Tensor) -> Tensor:
        x = m.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([m.token.expand(len(x), -1, -1), x], 1) + m.places
        return m.head(m.norm(m.block(x))[:, 0])

    return Wired(
        forward, patches=nn.Conv2d(3, D, 4, stride=4), token=parameter(1, 1, D),
        places=parameter(1, 5, D), block=block(attend), norm=nn.LayerNorm(D), head=nn.Linear(D, 3),
    )  # fmt: skip


def swin() -> nn.Module:
    """Shifted windows of 2x2 with a table of relative places."""

    def forward(m, x: Tensor) -> Tensor:
        x = torch.roll(m.patches(x).permute(0, 2, 3, 1), (-1, -1), (1, 2))
        n, h, w, d = x.shape
        x = x.view(n, h // 2, 2, w // 2, 2, d).transpose(2, 3).reshape(-1, 4, d)
        x = m.block(x).view(n, -1, d)
        return m.head(x.mean(1))

    def bias(m, scores: Tensor) -> Tensor:
        return scores + m.table[m.index].permute(2, 0, 1)

    attend = scored_attention(bias)
    attend.table = parameter(9, 2)
    spots = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")).flatten(1)
    apart = (spots[:, :, None] - spots[:, None]) + 1
    attend.register_buffer("index", apart[0] * 3 + apart[1])
    return Wired(
        forward, patches=nn.Conv2d(3, D, 2, stride=2), block=block(attend), head=nn.Linear(D, 3)
    )


def gpt() -> nn.Module:
    """Causal attention; the last token's state against the table of tokens."""

    def forward(m, tokens: Tensor) -> Tensor:
        x = m.tokens(tokens) + m.places(torch.arange(tokens.shape[1], device=tokens.device))
        logits = m.norm(m.block(x)) @ m.tokens.weight.T
        return m.head(logits[:, -1])

    return Wired(
        forward, tokens=nn.Embedding(9, D), places=nn.Embedding(7, D), norm=nn.LayerNorm(D),
        block=block(fused_attention(causal=True)), head=nn.Linear(9, 3),
    )  # fmt: skip


def masked_gpt() -> nn.Module:
    """A mask of -inf in a buffer."""
    attend = scored_attention(lambda m, scores: scores + m.mask)
    attend.register_buffer("mask", torch.full((7, 7), float("-inf")).triu(1))
    return Wired(
        lambda m, x: m.head(m.block(m.tokens(x)).mean(1)),
        tokens=nn.Embedding(9, D), block=block(attend), head=nn.Linear(D, 3),
    )  # fmt: skip


def bert() -> nn.Module:
    """A padding token that is masked, norms after, and a pooler."""

    def forward(m, tokens: Tensor) -> Tensor:
        x = m.norm(m.tokens(tokens) + m.places.weight[: tokens.shape[1]])
        x = m.layer(x, src_key_padding_mask=tokens == 0)
        return m.head(torch.tanh(m.pooler(x[:, 0])))

    return Wired(
        forward, tokens=nn.Embedding(9, D, padding_idx=0), places=nn.Embedding(7, D),
        norm=nn.LayerNorm(D, eps=1e-12), pooler=nn.Linear(D, D), head=nn.Linear(D, 3),
        layer=nn.TransformerEncoderLayer(D, 2, 16, activation="gelu", batch_first=True),
    )  # fmt: skip


class RMSNorm(nn.Module):
    """As Llama has it: worked out in float32, whatever the model is in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = x.to(torch.float32)
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * y.to(x.dtype)


class Rotary(nn.Module):
    """Grouped queries turned by a table that the first pass makes and keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.kv, self.out = nn.Linear(D, D), nn.Linear(D, D), nn.Linear(D, D)
        self.table: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        q, (k, v) = heads(self.q(x)), (heads(part, 1) for part in self.kv(x).chunk(2, -1))
        if self.table is None or len(self.table) < x.shape[1]:
            angles = torch.outer(torch.arange(x.shape[1]), torch.tensor([1.0, 0.25]))
            self.table = torch.polar(torch.ones_like(angles), angles)
        y = F.scaled_dot_product_attention(
            self.turned(q), self.turned(k).expand_as(q), v.expand_as(q), is_causal=True
        )
        return self.out(y.transpose(1, 2).flatten(2))

    def turned(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(pairs * self.table).flatten(-2)


def swiglu() -> nn.Module:
    return Wired(
        lambda m, x: m.out(F.silu(m.gate(x)) * m.wide(x)),
        gate=nn.Linear(D, D), wide=nn.Linear(D, D), out=nn.Linear(D, D),
    )  # fmt: skip


def llama() -> nn.Module:
    return Wired(
        lambda m, x: m.head(m.norm(m.block(m.tokens(x)))[:, -1]),
        tokens=nn.Embedding(9, D), norm=RMSNorm(D), head=nn.Linear(D, 3, bias=False),
        block=block(Rotary(), norm=RMSNorm, feed=swiglu()),
    )  # fmt: skip


def without_casts(model: nn.Module, x: Tensor) -> Tensor:
    """Return what Llama computes where norms and tables are in float64 as well."""
    for module in list(model.modules()):
        if isinstance(module, RMSNorm):
            exact = nn.RMSNorm(D, eps=1e-6).double()
            exact.weight = module.weight
            module.forward = exact.forward
        if isinstance(module, Rotary):
            angles = torch.outer(torch.arange(7).double(), torch.tensor([1.0, 0.25]).double())
            module.table = torch.polar(torch.ones_like(angles), angles)
    return model(x)


def biased(m, scores: Tensor) -> Tensor:
    """Distances with a slope a head (ALiBi)."""
    places = torch.arange(scores.shape[-1], device=scores.device)
    apart = (places[None] - places[:, None]).abs()
    return scores - apart * scores.new_tensor([0.5, 0.25])[:, None, None]


def linear_attention(m, x: Tensor) -> Tensor:
    q, k, v = (heads(part) for part in m.qkv(x).chunk(3, -1))
    q, k = F.elu(q) + 1, F.elu(k) + 1
    y = torch.einsum("bhnd,bhde->bhne", q, torch.einsum("bhnd,bhne->bhde", k, v))
    y = y / torch.einsum("bhnd,bhd->bhn", q, k.sum(2))[..., None]
    return m.out(y.transpose(1, 2).flatten(2))


def perceiver() -> nn.Module:
    def forward(m, x: Tensor) -> Tensor:
        latent = m.latent.expand(len(x), -1, -1)
        x = m.into(x)
        return m.head((latent + m.cross(latent, x, x, need_weights=False)[0]).flatten(1))

    return Wired(
        forward, into=nn.Linear(4, D), latent=parameter(1, 2, D), head=nn.Linear(2 * D, 3),
        cross=nn.MultiheadAttention(D, 2, batch_first=True),
    )  # fmt: skip


def encoder_decoder() -> nn.Module:
    return Wired(
        lambda m, x: m.head(m.decoder(m.query.expand(len(x), -1, -1), m.encoder(m.into(x)))[:, 0]),
        into=nn.Linear(4, D), query=parameter(1, 2, D), head=nn.Linear(D, 3),
        encoder=nn.TransformerEncoder(
            nn.TransformerEncoderLayer(D, 2, 16, batch_first=True, norm_first=True), 1,
            enable_nested_tensor=False,
        ),
        decoder=nn.TransformerDecoderLayer(D, 2, 16, batch_first=True),
    )  # fmt: skip


def of_sequences(attend: nn.Module) -> nn.Module:
    return Classifier(nn.Sequential(nn.Linear(4, D), block(attend)), D, channels_last=True)


def talking(m, scores: Tensor) -> Tensor:
    return torch.einsum("bhij,hg->bgij", scores, m.mix)


def talking_heads() -> nn.Module:
    attend = scored_attention(talking)
    attend.mix = parameter(2, 2)
    return of_sequences(attend)


CASES = {
    "ViT": Case(lambda: vit(torch_attention())),
    "ViT without weights": Case(lambda: vit(torch_attention(need_weights=False))),
    "DeiT": Case(lambda: vit(fused_attention())),
    "Swin": Case(swin),
    "GPT": Case(gpt, "tokens"),
    "GPT with a mask of -inf": Case(masked_gpt, "tokens"),
    "BERT": Case(bert, "tokens"),
    "Llama": Case(llama, "tokens", without_casts),
    "ALiBi": Case(lambda: of_sequences(scored_attention(biased)), "sequences"),
    "linear attention": Case(
        lambda: of_sequences(Wired(linear_attention, qkv=nn.Linear(D, 3 * D), out=nn.Linear(D, D))),
        "sequences",
    ),
    "Perceiver": Case(perceiver, "sequences"),
    "encoder and decoder": Case(encoder_decoder, "sequences"),
    "talking heads": Case(talking_heads, "sequences"),
}
