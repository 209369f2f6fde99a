"""Softmax attention, as ``scaled_dot_product_attention`` has it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from spectra.products.layers.directions import apart, below, shape_of, spread, summed_to
from spectra.products.layers.interface import Layer, Saved
from spectra.products.layers.softmax import centred, moved_pull, pulled_softmax
from spectra.products.tangent.folding import Direction, Moved

_NAMES = ("q", "k", "v")


class Attention(Layer):
    """O = P V with P = softmax(S), S = s Q Kᵀ + M; of the values Q, K, V and, if there is one, M.

    With δ the cotangent of O, that of P is δ Vᵀ, and S̄ that of S. Each is bilinear in what it is
    made of, so that tangents follow by the product rule; those of the softmax are in
    :mod:`spectra.products.layers.softmax`. The products are of stacks of matrices, one an image
    and head.

    Args:
        scale: s; by default one over the root of the length of a query.
        causal: whether a query sees nothing that is behind its own place.
        has_mask: whether M is among the values: numbers to add, or whether a key is seen.
    """

    def __init__(
        self, *, scale: float | None = None, causal: bool = False, has_mask: bool = False
    ) -> None:
        self.scale, self.causal, self.has_mask = scale, causal, has_mask

    def value(self, *inputs: Tensor) -> Tensor:
        """Return P V."""
        mask = inputs[3] if self.has_mask else None
        q, k, v = inputs[:3]
        return F.scaled_dot_product_attention(
            q, k, v, mask, is_causal=self.causal, scale=self.scale
        )

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the cotangents s S̄ K, s S̄ᵀ Q, Pᵀ δ and S̄; keep these matrices."""
        q, k, v, *masks = saved.inputs
        delta, kept = saved.cotangent, saved.extra
        kept["p"] = p = _stack(self._probabilities(q, k, masks))
        kept["like"] = shape_of(delta)
        for name, value in zip((*_NAMES, "mask"), saved.inputs, strict=False):
            kept[f"like {name}"] = shape_of(value)
        for name, value in zip(_NAMES, (q, k, v), strict=True):
            kept[name] = self._matrices(value, kept, 1)
        kept["q"] = kept["q"] * self._scale(q)
        kept["delta"] = _stack(delta)
        kept["t"] = t = centred(torch.bmm(kept["delta"], kept["v"].mT), p, -1)
        kept["scores"] = scores = p * t
        terms = [
            torch.bmm(scores, kept["k"]) * self._scale(q),
            torch.bmm(scores.mT, kept["q"]),
            torch.bmm(p.mT, kept["delta"]),
            scores,
        ]
        return self._pulled(terms, kept, 1, wanted)

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return dP V + P dV with dP from dS = s (dQ Kᵀ + Q dKᵀ) + dM."""
        kept, count = saved.extra, direction.count
        dq, dk, dv, scores = self._tangents(saved, count)
        p, q, k, v = (_each(kept[name], count) for name in ("p", *_NAMES))
        if dq is not None:
            scores = _plus(scores, dq, k.mT)
        if dk is not None:
            scores = _plus(scores, q, dk.mT)
        found = None
        if scores is not None:
            kept["moved"] = d_p = pulled_softmax(scores, p, -1)
            found = torch.bmm(d_p, v)
        if dv is not None:
            found = _plus(found, p, dv)
        like = kept["like"]
        return None if found is None else found.view(-1, *like.shape[1:])

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return the tangents of s S̄ K, s S̄ᵀ Q, Pᵀ δ and S̄ by the product rule."""
        kept, count = saved.extra, direction.count
        dq, dk, dv, d_mask = self._tangents(saved, count)
        d_p = kept.pop("moved", None)
        if dq is None and dk is None and d_mask is None:
            d_p = None
        names = ("p", "t", "scores", "delta", *_NAMES)
        p, t, scores, delta, q, k, v = (_each(kept[name], count) for name in names)
        of_p = of_q = of_k = of_v = None
        if d_delta is not None:
            d_delta = _stack(d_delta)
            of_p, of_v = torch.bmm(d_delta, v.mT), torch.bmm(p.mT, d_delta)
        if dv is not None:
            of_p = _plus(of_p, delta, dv.mT)
        if d_p is not None and wanted[2]:
            of_v = _plus(of_v, d_p.mT, delta)
        of_scores = moved_pull(p, t, d_p, of_p, -1)
        if of_scores is not None:
            of_q = torch.bmm(of_scores, k) if wanted[0] else None
            of_k = torch.bmm(of_scores.mT, q) if wanted[1] else None
        if dk is not None and wanted[0]:
            of_q = _plus(of_q, scores, dk)
        if dq is not None and wanted[1]:
            of_k = _plus(of_k, scores.mT, dq)
        if of_q is not None:
            of_q = of_q * self._scale(q)
        return self._pulled([of_q, of_k, of_v, of_scores], kept, count, wanted)

    def _probabilities(self, q: Tensor, k: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """Return P, (n, heads, queries, keys)."""
        scores = (q * self._scale(q)) @ k.mT
        for mask in masks:
            if mask.dtype == torch.bool:
                scores = scores.masked_fill(mask.logical_not(), -torch.inf)
            else:
                scores = scores + mask
        if self.causal:
            seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
            scores = scores.masked_fill(seen.logical_not(), -torch.inf)
        p = scores.softmax(-1)
        # A query that sees nothing has the output 0.
        return p.masked_fill((scores == -torch.inf).all(-1, keepdim=True), 0.0) if masks else p

    def _scale(self, q: Tensor) -> float:
        return float(q.shape[-1] ** -0.5) if self.scale is None else self.scale

    def _tangents(self, saved: Saved, count: int) -> list[Tensor | None]:
        """Return s dQ, dK, dV and dM as stacks of matrices, one direction below the other."""
        kept, given = saved.extra, saved.input_tangents
        found: list[Tensor | None] = []
        for name, value in zip(_NAMES, given, strict=False):
            like = kept[f"like {name}"]
            moved = apart(value, count, like)
            found.append(None if moved is None else self._matrices(moved, kept, count))
        if found[0] is not None:
            found[0] = found[0] * self._scale(kept["q"])
        leading, p = kept["like"].shape[:-2], kept["p"]
        mask = None
        if self.has_mask:
            mask = spread(given[3], count, kept["like mask"].shape, len(leading) + 2)
        if mask is not None:
            lead = (count,) if count > 1 else ()
            mask = _stack(mask.expand(*lead, *leading, *p.shape[1:]).clone())
        return [*found, mask]

    def _matrices(self, value: Tensor, kept: dict[str, Tensor], count: int) -> Tensor:
        """Return values, or K tangents of them, as matrices, for each image and head."""
        lead = (count,) if count > 1 else ()
        return _stack(value.expand(*lead, *kept["like"].shape[:-2], *value.shape[-2:]))

    def _pulled(
        self,
        terms: Sequence[Tensor | None],
        kept: dict[str, Tensor],
        count: int,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return stacks of matrices as cotangents of the values that are wanted."""
        found: list[Tensor | None] = []
        lead = (count,) if count > 1 else ()
        for name, term, want in zip((*_NAMES, "mask"), terms, wanted, strict=False):
            if term is None or not want:
                found.append(None)
                continue
            whole = term.view(*lead, *kept["like"].shape[:-2], *term.shape[-2:])
            found.append(below(summed_to(whole, count, kept[f"like {name}"].shape), count))
        return found


def _stack(values: Tensor) -> Tensor:
    return values.reshape(-1, *values.shape[-2:])


def _each(stack: Tensor, count: int) -> Tensor:
    return stack if count == 1 else stack.repeat(count, 1, 1)


def _plus(before: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    """Return left right, the matrices of two stacks multiplied, added to ``before`` in place."""
    return torch.bmm(left, right) if before is None else before.baddbmm_(left, right)
