"""Cross-entropy with class weights, as exact as without."""

from typing import TypeGuard

from torch import Tensor, nn

from spectra.objective.per_sample import cross_entropy


class WeightedCrossEntropy:
    """What ``torch.nn.CrossEntropyLoss`` is, by :func:`cross_entropy`, whose derivatives are exact.

    Args:
        module: returns the loss of each image, without label smoothing.
        like: on whose device its weights go.
    """

    def __init__(self, module: nn.CrossEntropyLoss, like: Tensor) -> None:
        self.ignored = module.ignore_index
        self.weight = None  # a copy: what the caller does to theirs later changes nothing here
        if module.weight is not None:
            self.weight = module.weight.detach().to(like.device, copy=True)

    @staticmethod
    def equals(loss: object) -> TypeGuard[nn.CrossEntropyLoss]:
        """Say whether ``loss`` is one that this can stand for."""
        if type(loss) is not nn.CrossEntropyLoss:
            return False
        return loss.reduction == "none" and not loss.label_smoothing

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image, shape (n,)."""
        losses = cross_entropy(outputs, labels)
        if self.weight is not None:
            losses = losses * self.weight.to(outputs.dtype)[labels]
        return losses.masked_fill(labels == self.ignored, 0)
