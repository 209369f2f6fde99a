"""The trainable parameters of a network, at the point where its Hessian is taken."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spectra.errors import InputError, OperatorError
from spectra.objective.network.as_found import ParametersInPlace
from spectra.objective.network.perturbed import perturbed
from spectra.objective.parameter_slices import ParameterSlices


@dataclass
class _Displacement:
    """Whether parameters, which a loss shares with what is made of it, are away from w just now."""

    now: bool = False


class NetworkPoint:
    """A network of one's own, its trainable parameters, and the vectors (P,) beside them.

    Attributes:
        model: nobody else has it.
        device: of its parameters.
        dtype: of its parameters.
        names: of the trainable ones.
        parameters: the trainable ones, in the order of a vector.
        parameter_slices: which entries of a vector belong to which parameter.
        size: P.
        network_size: numbers in all its parameters, those that are held fixed too.
    """

    model: nn.Module
    device: torch.device
    dtype: torch.dtype
    names: list[str]
    parameters: list[nn.Parameter]
    parameter_slices: ParameterSlices
    size: int
    network_size: int

    def _take_network(self, model: nn.Module) -> None:
        """Have ``model``, which nobody else has, as the network, and a point of its own."""
        self.model = model
        self.names, self.parameters = [], []
        for name, parameter in model.named_parameters():
            parameter.grad = None
            if parameter.requires_grad:
                self.names.append(name)
                self.parameters.append(parameter)
        if not self.parameters:
            raise InputError("the model has no parameter with requires_grad; nothing to analyze")
        self.parameter_slices = ParameterSlices(
            tuple(self.names), tuple(p.shape for p in self.parameters)
        )
        self.size = self.parameter_slices.size
        self.network_size = sum(p.numel() for p in model.parameters())
        self._displacement = _Displacement()
        self._in_place = ParametersInPlace(model)

    @contextmanager
    def moved(self, step: Tensor, factor: float = 1.0) -> Iterator[None]:
        """Have the parameters at w + factor · step, (P,), inside: for losses and gradients.

        Products are refused there, for kept work is of w: of this operator and of all that share
        its parameters.
        """
        pieces = self.unflatten(step.to(self.device))
        with perturbed(self.parameters, [e.to(self.dtype) for e in pieces], factor):
            before, self._displacement.now = self._displacement.now, True
            try:
                yield
            finally:
                self._displacement.now = before

    def check_point(self) -> None:
        """Raise OperatorError unless the network is as it was when the operator was built.

        Raises:
            OperatorError: its parameters are moved, or are elsewhere or in another dtype.
        """
        if self._displacement.now:
            raise OperatorError(
                "a product was asked for while the parameters are moved: products are of the point "
                "at which the operator was built; ask for it outside of the block of moved()"
            )
        found = self.parameters[0]
        if found.device != self.device or found.dtype != self.dtype:
            raise OperatorError(
                f"the operator's own network must be on {self.device} in {self.dtype}, it was "
                f"moved to {found.device} in {found.dtype}; build an operator there"
            )
        self._in_place.check()

    def unflatten(self, v: Tensor) -> list[Tensor]:
        """Return ``v`` (P,) as one tensor a parameter, in the order of ``names``."""
        pieces = v.split(self.parameter_slices.sizes)
        return [piece.view_as(p) for piece, p in zip(pieces, self.parameters, strict=True)]

    def named(self, v: Tensor) -> dict[str, Tensor]:
        """Return ``v`` (P,) as one tensor a parameter, by name."""
        return dict(zip(self.names, self.unflatten(v), strict=True))
