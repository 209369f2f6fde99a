"""A network whose outputs are what a caller's function makes of it and the images."""

from collections.abc import Callable

from torch import Tensor, nn

from spectra.errors import InputError

# Such as ``lambda model, images: model(pixel_values=images).logits``.
Forward = Callable[[nn.Module, Tensor], Tensor]


class WithForward(nn.Module):
    """``forward(model, images)`` as a network of the parameters of ``model``, by their own names.

    It has no submodule ``model``, which would put a prefix before each name, but the very tables of
    parameters, buffers and submodules that ``model`` has. So what replaces a parameter in one of
    them, as ``torch.func.functional_call`` does, or in a copy of one of them, does in both.

    Args:
        model: of which parameters and buffers are.
        forward: returns outputs (n, C).

    Raises:
        InputError: ``forward`` is no function.
    """

    def __init__(self, model: nn.Module, forward: Forward) -> None:
        super().__init__()
        if not callable(forward):
            raise InputError(f"forward must be a function of model and images, got {forward!r}")
        self._parameters, self._buffers = model._parameters, model._buffers
        self._modules = model._modules
        self._non_persistent_buffers_set = model._non_persistent_buffers_set
        # Past nn.Module, which would take it for a submodule.
        self.__dict__["model"], self.__dict__["function"] = model, forward
        self.training = model.training

    def forward(self, images: Tensor) -> Tensor:
        """Return what the function makes of the network and the images."""
        return self.__dict__["function"](self.__dict__["model"], images)

    def train(self, mode: bool = True) -> "WithForward":
        """Set the mode of the network, and of this."""
        self.__dict__["model"].train(mode)
        self.training = mode
        return self
