"""The class structure of the Gauss-Newton matrix: mean gradients by class and candidate class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.krylov.tridiagonal import FloatArray
from spectra.operators.hessian import HessianOperator
from spectra.system.exact import exact_products

# Ours: C² vectors of length P are held, 1 GB of half a million parameters.
MOST_CLASSES = 16
# Ours: probabilities of a softmax add up to 1 within rounding.
_NEARLY_ONE = 1e-6
# Ours: a direction whose eigenvalue is this part of the largest is rounding of the Gram matrix.
_RANK = 1e-12


@dataclass(frozen=True)
class CrossClassMeans:
    """Means of ∇ℓ(x, c') over the images of class c, for each class c and candidate c'.

    With p the probabilities, the Gauss-Newton matrix of cross-entropy is the second moment of
    ∇ℓ(x_i, c') over images i and candidates c', each with the weight p_i(c'). What is left of it
    when each ∇ℓ(x_i, c') is replaced by its mean over the images of class c is Σ w g gᵀ over the
    pairs (c, c'): the matrix *between* them, of rank C² at most.

    Attributes:
        classes: labels of images that there are, rising.
        weights: w(c, c'), the part of all probability, shape (classes, C).
        vectors: √w g of each pair, shape (classes, C, P), float64.
    """

    classes: tuple[int, ...]
    weights: Tensor
    vectors: Tensor

    def between(self) -> FloatArray:
        """Return the eigenvalues of Σ w g gᵀ that are not 0, falling; exact, of a small matrix."""
        return _eigenvalues(self._all)

    def between_classes(self) -> FloatArray:
        """Return those of Σ_c w_c g_c g_cᵀ, g_c the mean over c' ≠ c: C of them at most."""
        return _eigenvalues(self.class_vectors)

    @property
    def class_vectors(self) -> Tensor:
        """√w_c g_c of each class, g_c the weighted mean of its g over c' ≠ c; (classes, P)."""
        rows = []
        for k, label in enumerate(self.classes):
            others = [c for c in range(self.weights.shape[1]) if c != label]
            weights = self.weights[k, others]
            total = (weights.sqrt()[:, None] * self.vectors[k, others]).sum(0)
            rows.append(total / weights.sum().sqrt())
        return torch.stack(rows)

    def captured(self, vectors: Tensor) -> FloatArray:
        """Return how much of each unit row of ``vectors`` (K, P) is in the span of all g, (K,)."""
        return _captured(self._all, vectors)

    def captured_by_classes(self, vectors: Tensor) -> FloatArray:
        """Return how much of each unit row of ``vectors`` lies in the span of the C means g_c."""
        return _captured(self.class_vectors, vectors)

    @property
    def _all(self) -> Tensor:
        return self.vectors.flatten(0, 1)


def cross_class_means(op: HessianOperator) -> CrossClassMeans:
    """Return the mean gradients ∇ℓ(x, c') over the images of each class, in float64.

    Cost: C gradients over all images, one forward pass, and C² vectors of length P.

    Args:
        op: the Hessian of a cross-entropy of C outputs; weight decay has no part in the means.

    Raises:
        InputError: the loss is no cross-entropy, or there are more than 16 classes.

    Source: Papyan, Traces of class/cross-class structure pervade deep learning spectra, JMLR 2020.

    Example:
        >>> import spectra
        >>> net, labels = torch.nn.Linear(4, 3), torch.arange(12) % 3
        >>> H = spectra.HessianOperator(net, torch.randn(12, 4), labels)
        >>> found = spectra.cross_class_means(H)
        >>> found.classes, len(found.between_classes()) <= 3, round(float(found.weights.sum()), 6)
        ((0, 1, 2), True, 1.0)
    """
    exact = op.in_float64()
    labels = sorted(set(exact.labels.flatten().tolist()))
    with torch.no_grad():
        outputs = exact.model(exact.images[slice(0, 1)])
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise InputError(
            f"classes are compared by an output each, got outputs of shape {tuple(outputs.shape)}"
        )
    count = outputs.shape[1]
    if count > MOST_CLASSES:
        raise InputError(
            f"{count} classes have {count**2} mean gradients; at most {MOST_CLASSES} classes are "
            "compared"
        )
    weights = torch.zeros(len(labels), count, dtype=torch.float64, device=exact.device)
    sums = torch.zeros(len(labels), count, exact.size, dtype=torch.float64, device=exact.device)
    for k, label in enumerate(labels):
        part = exact.over_images(torch.nonzero(exact.labels == label).flatten())
        for chunk in part.chunks():
            _add_chunk(part, chunk, weights[k], sums[k])
        part.count.forwards += (1 + 2 * count) * part.num_images
    weights /= exact.total_weight
    sums /= exact.total_weight
    roots = weights.sqrt().clamp_min(torch.finfo(torch.float64).tiny)
    return CrossClassMeans(tuple(labels), weights, sums / roots[..., None])


@torch.enable_grad()
def _add_chunk(op: HessianOperator, chunk: slice, weights: Tensor, sums: Tensor) -> None:
    """Add Σ_i w_i p_i(c') and Σ_i w_i p_i(c') ∇ℓ(x_i, c') of a chunk, for each candidate c'."""
    with exact_products(op.device):
        outputs = op.model(op.images[chunk])
        own = op.weights[chunk]
        losses = [
            op.sample_losses(outputs, torch.full_like(op.labels[chunk], c))
            for c in range(outputs.shape[1])
        ]
        shares = torch.stack([(-loss.detach()).exp() for loss in losses])
        if not bool(((shares.sum(0) - 1).abs() <= _NEARLY_ONE).all()):
            raise InputError(
                "the class structure is that of cross-entropy, whose exp(-loss) over all labels "
                "add up to 1; this loss's do not: take --loss ce"
            )
        for c, loss in enumerate(losses):
            each = own * shares[c]
            weights[c] += each.sum()
            pieces = torch.autograd.grad(
                (each * loss).sum(), op.parameters, retain_graph=True, materialize_grads=True
            )
            sums[c] += torch.cat([piece.reshape(-1) for piece in pieces])


def _eigenvalues(rows: Tensor) -> FloatArray:
    """Return the eigenvalues of rowsᵀ rows that are not 0, falling, by the Gram matrix."""
    found = np.linalg.eigvalsh((rows @ rows.T).cpu().numpy())[::-1]
    return np.ascontiguousarray(found[found > _RANK * found[0]])


def _captured(rows: Tensor, vectors: Tensor) -> FloatArray:
    """Return ‖Π v‖² of each row v, Π the projection on the span of ``rows``."""
    values, turns = torch.linalg.eigh(rows @ rows.T)
    kept = values > _RANK * values[-1]
    basis = (turns[:, kept] / values[kept].sqrt()).T @ rows
    found = basis @ vectors.to(rows).T
    return np.asarray(found.square().sum(0).cpu().numpy())
