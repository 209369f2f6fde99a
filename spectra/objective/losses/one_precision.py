"""A loss of somebody else in one precision, on one device, whatever tensors it holds."""

from typing import Any

from torch import Tensor

from spectra.objective.network.own_calls import OwnCalls
from spectra.objective.samples.trees import is_branch, map_leaves


class InOnePrecision(OwnCalls):
    """Inside the block, torch's operations take every real tensor in the precision of one.

    For a loss with tensors where nobody sees them: in closures, in arguments of
    ``functools.partial``, in attributes. Float32 class weights beside float64 outputs raise an
    error in ``F.cross_entropy``; here they are float64 numbers of the same value.

    Args:
        like: whose dtype and device all have.
    """

    def __init__(self, like: Tensor) -> None:
        super().__init__(like.dtype, like.device)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``func`` with tensors in this precision."""
        return super().__torch_function__(func, types, self._taken(args), self._taken(kwargs or {}))

    def _taken(self, values: Any) -> Any:
        return map_leaves(self._tensor, values) if is_branch(values) else self._tensor(values)

    def _tensor(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.device.type == "meta":
            return value
        real = value.is_floating_point() and value.dtype != self.dtype
        if real or value.device != self.device:
            return value.to(self.device, self.dtype if real else value.dtype)
        return value
