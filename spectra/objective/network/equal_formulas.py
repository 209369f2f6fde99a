"""Formulas, equal to operations of torch that have no second derivative, in operations that do."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import _VF, Tensor

from spectra.errors import OperatorError
from spectra.objective.network.weight_norm import written_out


def hardsigmoid(x: Tensor, inplace: bool = False) -> Tensor:
    """Return relu6(x + 3) / 6."""
    return F.hardtanh(x + 3, 0.0, 6.0) / 6


def cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:
    """Return the p-norms of all differences of rows, (..., n, m); memory (..., n, m, d)."""
    return _norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p)


def pdist(x: Tensor, p: float = 2.0) -> Tensor:
    """Return the p-norms of the differences of rows i < j."""
    i, j = torch.triu_indices(len(x), len(x), 1, device=x.device)
    return _norm(x[i] - x[j], p)


def _norm(difference: Tensor, p: float) -> Tensor:
    # Of 0 the derivative is 0, as torch has it for distances: through the root it would be NaN.
    if p != 2:
        return torch.linalg.vector_norm(difference, p, dim=-1)
    square = (difference * difference).sum(-1)
    zero = square == 0
    return torch.where(zero, square, torch.where(zero, torch.ones_like(square), square).sqrt())


def embedding(
    tokens: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Return rows of ``weight`` with a dense gradient that is the derivative, for every row.

    Raises:
        OperatorError: it would rescale ``weight`` in place.
    """
    _check_max_norm(max_norm)
    return F.embedding(tokens, _row_held(weight, padding_idx))


def embedding_bag(
    tokens: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Return the sum, mean or maximum of the rows in each bag, (bags, width).

    Raises:
        OperatorError: it would rescale ``weight`` in place.
    """
    _check_max_norm(max_norm)
    if tokens.ndim == 2:
        count, length = tokens.shape
        bag = torch.arange(count, device=tokens.device).repeat_interleave(length)
    else:
        assert offsets is not None
        count = len(offsets) - bool(include_last_offset)
        places = torch.arange(len(tokens), device=tokens.device)
        bag = torch.searchsorted(offsets[:count].contiguous(), places, right=True) - 1
    flat = tokens.reshape(-1)
    rows = F.embedding(flat, _row_held(weight, padding_idx))
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    if padding_idx is not None:
        counted = flat != padding_idx % len(weight)
        bag, rows = bag[counted], rows[counted]
    empty = rows.new_zeros(count, weight.shape[1])
    if mode == "max":
        index = bag[:, None].expand_as(rows)
        return empty.scatter_reduce(0, index, rows, "amax", include_self=False)
    sums = empty.index_add(0, bag, rows)
    if mode == "sum":
        return sums
    return sums / torch.bincount(bag, minlength=count).clamp(min=1)[:, None].to(sums.dtype)


def _check_max_norm(max_norm: float | None) -> None:
    if max_norm is not None:
        raise OperatorError(
            "embedding with max_norm changes its weight in place in the forward pass; rescale the "
            "weight once, before, and leave max_norm out"
        )


def _row_held(weight: Tensor, padding_idx: int | None) -> Tensor:
    """Return ``weight`` with a row that no gradient reaches, as torch has it for padding."""
    if padding_idx is None:
        return weight
    held = torch.arange(len(weight), device=weight.device) == padding_idx % len(weight)
    return torch.where(held[:, None], weight.detach(), weight)


def _recurrent(name: str) -> Callable[..., Any]:
    """Return a recurrent layer of torch by a kernel that has a second derivative.

    On a CPU, an LSTM in float32 is computed by oneDNN, but not for sequences of which torch knows
    the lengths; on a card all are computed by cuDNN, which can be told not to.
    """
    native = getattr(_VF, name)

    def called(x: Tensor, second: Any, *rest: Any) -> Any:
        if x.is_cuda:
            # Not torch.backends.cudnn.flags(), which reads and writes TF32 by the older interface.
            cudnn = torch.backends.cudnn
            before, cudnn.enabled = cudnn.enabled, False
            try:
                return native(x, second, *rest)
            finally:
                cudnn.enabled = before
        lengths_given = isinstance(second, Tensor) and not second.is_floating_point()
        if name != "lstm" or lengths_given:
            return native(x, second, *rest)
        weights, bias, layers, dropout, training, bidirectional, batch_first = rest
        steps = x.transpose(0, 1) if batch_first else x
        lengths = torch.full((len(steps),), steps.shape[1], dtype=torch.int64)
        out, *state = native(
            steps.reshape(-1, steps.shape[2]), lengths, second, weights, bias, layers, dropout,
            training, bidirectional,
        )  # fmt: skip
        out = out.reshape(*steps.shape[:2], -1)
        return (out.transpose(0, 1) if batch_first else out, *state)

    return called


# By what torch calls them where a function mode looks on.
FORMULAS: dict[Any, Callable[..., Any]] = {
    F.hardsigmoid: hardsigmoid,
    torch._C._nn.hardsigmoid: hardsigmoid,
    torch.cdist: cdist,
    torch.pdist: pdist,
    F.embedding: embedding,
    F.embedding_bag: embedding_bag,
    torch._weight_norm: written_out,
    **{getattr(_VF, name): _recurrent(name) for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")},
}
