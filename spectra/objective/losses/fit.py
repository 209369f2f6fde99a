"""A caller's loss, called as it has to be for the outputs of one network."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor, nn

from spectra.errors import InputError, OperatorError, first_line
from spectra.objective.losses.loss_module import LossModule
from spectra.objective.losses.one_precision import InOnePrecision
from spectra.objective.losses.refusals import check_logits, check_shapes, check_signs, say_ignored
from spectra.objective.losses.weighted_cross_entropy import WeightedCrossEntropy
from spectra.objective.per_sample import CrossEntropy, PerSampleLoss
from spectra.system.allocator import out_of_memory

# Relative: the loss of one image by itself and beside another one, in float32.
_SAME = 1e-4


@dataclass(frozen=True)
class Manner:
    """How a loss is called.

    Attributes:
        as_numbers: labels are given in the dtype of the outputs.
        as_column: single outputs, (n, 1), are given as (n,).
        in_one_precision: its tensors are brought to the precision of the outputs.
        never_alone: a lone image is given twice, to a loss that squeezes its axis away.
    """

    as_numbers: bool = False
    as_column: bool = False
    in_one_precision: bool = False
    never_alone: bool = False

    def call(self, loss: PerSampleLoss, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return what ``loss`` makes of them."""
        if self.never_alone and len(labels) == 1:
            alone = replace(self, never_alone=False)
            return alone.call(loss, torch.cat([outputs] * 2), torch.cat([labels] * 2))[:1]
        if self.as_column:
            outputs = outputs.reshape(len(labels))
        if self.as_numbers:
            labels = labels.to(outputs.dtype)
        if self.in_one_precision:
            with InOnePrecision(outputs):
                return loss(outputs, labels)
        return loss(outputs, labels)


class FittedLoss:
    """The loss of each image of one network, checked to be one value an image.

    Args:
        given: what a caller gave.
        loss: the same, in the precision of the outputs.
        manner: how it is called.
        ndim: dimensions of outputs; a network that squeezes gives one less for a lone image.
    """

    def __init__(
        self, given: PerSampleLoss, loss: PerSampleLoss, manner: Manner, ndim: int
    ) -> None:
        self.given, self.loss, self.manner, self.ndim = given, loss, manner, ndim

    def rows(self, outputs: Tensor) -> Tensor:
        """Return outputs with one entry an image, of a lone image too."""
        return outputs[None] if outputs.ndim == self.ndim - 1 else outputs

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the label of each image's largest output; of a single output, 1 where it says so.

        Raises:
            InputError: there are several outputs a class.
        """
        outputs = self.rows(outputs)
        if outputs.ndim == 1 or outputs.shape[1:] == (1,):
            says_so = 0.5 if isinstance(self.given, nn.BCELoss) else 0.0  # of probabilities
            return (outputs.reshape(len(outputs)) > says_so).long()
        if outputs.ndim != 2:
            raise InputError(
                f"accuracy is of outputs (n, C), got {tuple(outputs.shape)}; forward= can see to it"
            )
        return outputs.argmax(1)

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return ℓ_i, unweighted, shape (n,).

        Raises:
            InputError: the labels do not fit the outputs, or the losses are not one an image.
        """
        outputs = self.rows(outputs)
        try:
            losses = self.manner.call(self.loss, outputs, labels)
        except (IndexError, RuntimeError) as error:
            if not out_of_memory(error):
                check_shapes(outputs, labels, error)
            raise
        if isinstance(losses, Tensor) and losses.shape[:1] == labels.shape == (losses.numel(),):
            losses = losses.reshape(-1)  # a column of them
        if not isinstance(losses, Tensor) or losses.shape != labels.shape:
            raise InputError(
                f"loss must return one value an image, shape {tuple(labels.shape)}, got "
                f"{_described(losses)}; use reduction='none'"
            )
        return losses


def fit_loss(
    loss: PerSampleLoss | None, outputs: Tensor, labels: Tensor, *, of_all: Tensor
) -> FittedLoss:
    """Find out how ``loss`` is called, on the outputs of two images.

    Labels are given as numbers where it takes no integers, single outputs, (n, 1), as (n,) where it
    takes no column; what it returns must be the loss of each image by itself.

    Of several precisions in it, that of the outputs is taken.

    Cost: some calls of the loss with two images.

    Args:
        loss: a caller's; None: cross-entropy. One that has been fitted is returned as it is.
        outputs: of two images, (2, C), (2, 1), (2,) or any shape that ``loss`` takes.
        labels: of the two, int64 (2,).
        of_all: labels of all images, (n,).

    Raises:
        InputError: it is no function, cannot take them, or returns something else than one value
            an image.
        OperatorError: the loss of an image depends on the images beside it.
    """
    if isinstance(loss, FittedLoss):
        return loss
    if not (loss is None or callable(loss)) or isinstance(loss, type):
        raise InputError(f"loss must be a function of outputs and labels, got {loss!r}")
    given: PerSampleLoss = CrossEntropy() if loss is None else loss
    if isinstance(given, (CrossEntropy, nn.CrossEntropyLoss)):
        check_logits(outputs, of_all)
    if isinstance(given, CrossEntropy):
        return FittedLoss(given, given, Manner(), outputs.ndim)
    if torch.equal(outputs[0], outputs[1]):  # of one image: the second, as if of another one
        outputs = torch.cat([outputs[:1], outputs[1:].flip(-1)])
    check_signs(given)
    say_ignored(given, of_all)
    loss = given
    if WeightedCrossEntropy.equals(given):
        loss = WeightedCrossEntropy(given, outputs)
    elif isinstance(given, nn.Module):
        loss = LossModule(given, outputs.device)
    refused: list[Exception] = []
    for manner in _manners(outputs):
        try:
            fitted = FittedLoss(given, loss, manner, outputs.ndim)
            _try(fitted, outputs, labels)
            fitted = _in_best_precision(fitted, outputs, labels)
        except (InputError, OperatorError) as error:
            refused.append(error)
        except Exception as error:  # whatever a stranger's loss raises
            if out_of_memory(error):
                raise
            refused.append(error)
        else:
            return fitted
    for refusal in refused:
        if isinstance(refusal, (InputError, OperatorError)):
            raise refusal
    check_shapes(outputs, labels, refused[0])
    raise InputError(
        f"the loss cannot take outputs {tuple(outputs.shape)} and int64 labels "
        f"{tuple(labels.shape)} of two images: {type(refused[0]).__name__}: "
        f"{first_line(refused[0])}; give loss=, such as lambda outputs, labels: ..., which returns "
        "one value an image"
    ) from refused[0]


def _manners(outputs: Tensor) -> Iterator[Manner]:
    """Yield ways to call a loss, the plainest first."""
    column = outputs.ndim == 2 and outputs.shape[1] == 1
    single = column or outputs.ndim == 1
    for as_column in (False, True) if column else (False,):
        for as_numbers in (False, True) if single else (False,):
            for alone, unified in product((False, True), (False, True)):
                yield Manner(as_numbers, as_column, unified, alone)


def _try(fitted: FittedLoss, outputs: Tensor, labels: Tensor) -> None:
    """Raise unless a loss so called gives each image its own value, in both precisions."""
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")  # torch's, of shapes that it stretches
        for dtype in (torch.float64, torch.float32):
            taken = outputs.detach().to(dtype).requires_grad_()
            # Copies, which a loss may change in place.
            both, again = fitted(taken.clone(), labels), fitted(taken.clone(), labels)
            alone = fitted(taken[:1].clone(), labels[:1])
            if both.requires_grad:  # some losses take labels of a kind forward, and not backward
                torch.autograd.grad(both.sum(), taken)
            if _close(both, again) and not _close(both[:1], alone):
                raise OperatorError(
                    "the loss of an image depends on the images beside it; return that of each "
                    "image by itself, as reduction='none' does"
                )


@torch.no_grad()
def _in_best_precision(fitted: FittedLoss, outputs: Tensor, labels: Tensor) -> FittedLoss:
    """Return a loss that computes part of itself in float32 as one that does not, if there is."""
    unified = FittedLoss(
        fitted.given, fitted.loss, replace(fitted.manner, in_one_precision=True), fitted.ndim
    )
    try:
        found, other = (
            one(outputs.to(torch.float64, copy=True), labels) for one in (fitted, unified)
        )
        differ = not torch.equal(found, other)
    except Exception as error:  # whatever a stranger's loss raises where its tensors are others
        if out_of_memory(error):
            raise
        return fitted
    return unified if differ else fitted


def _close(found: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(found.double(), wanted.double(), rtol=_SAME, atol=1e-7, equal_nan=True)


def _described(losses: object) -> str:
    return str(tuple(losses.shape)) if isinstance(losses, Tensor) else type(losses).__name__
