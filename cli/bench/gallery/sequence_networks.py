"""Classifiers of sequences, as their users write them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURES = 16
VOCABULARY = 100
LENGTH = 32


class SmallLSTM(nn.Module):
    """A two-layer LSTM over sequences of 16 features; the last output is classified."""

    def __init__(self, width: int = 64, num_classes: int = 10) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, width, num_layers=2, batch_first=True)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences (n, length, 16) to logits."""
        outputs, _ = self.lstm(x)
        return self.head(outputs[:, -1])


class SelfAttention(nn.Module):
    """Attention of each token to all, or to those before it where it is causal."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (n, length, width) to the same shape."""
        n, length, width = x.shape
        q, k, v = self.qkv(x).split(width, dim=2)
        q = q.view(n, length, self.heads, width // self.heads).transpose(1, 2)
        k = k.view(n, length, self.heads, width // self.heads).transpose(1, 2)
        v = v.view(n, length, self.heads, width // self.heads).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.project(y.transpose(1, 2).contiguous().view(n, length, width))


class GPTBlock(nn.Module):
    """Causal attention and an MLP, each behind a layer norm and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, causal=True)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (n, length, width) to the same shape."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPTClassifier(nn.Module):
    """A GPT-style classifier of token ids: the last token's output is classified."""

    def __init__(
        self,
        width: int = 48,
        depth: int = 2,
        heads: int = 4,
        *,
        classes: int = 10,
        vocabulary: int = VOCABULARY,
        length: int = LENGTH,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(GPTBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, ids: Tensor) -> Tensor:
        """Map token ids (n, length) to logits."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.tokens(ids) + self.positions(places)
        return self.head(self.norm(self.blocks(x))[:, -1])
