"""SAM and ASAM as an ascent step around any torch optimizer."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from spectra.objective.frozen_loss import perturbed

# As in the common implementations: at a stationary point ε = 0.
_TINY = 1e-12
# What torch's operations on many tensors at once take.
Tensors = list[Tensor] | tuple[Tensor, ...]


def norm(gradient: Tensors) -> Tensor:
    """Return the norm over all tensors together."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradient)))


def ascent(gradient: Tensors, rho: float) -> Tensors:
    """Return ρ g / ‖g‖."""
    return torch._foreach_mul(gradient, rho / (norm(gradient) + _TINY))


class SharpnessAware:
    """Two gradients a step: climb to w + ε, take the gradient there, step from w with it.

    SAM: ε = ρ g / ‖g‖ with the norm over all parameters. ASAM: with T = |w| + η,
    ε = ρ T² g / ‖T g‖. Weight decay takes no part in the ascent; it acts where ``base`` applies
    it, at w. ε lives only inside :meth:`step`: the state of a run is that of ``base``.

    Args:
        parameters: what is perturbed: all of the model's trainable parameters.
        base: the optimizer that descends.
        rho: radius in parameter units; may be changed between steps.
        adaptive: ASAM.
        eta: ASAM's η.

    Source: Foret et al., ICLR 2021; Kwon et al., ICML 2021 (η on every parameter, ours: the paper
    does not say where).
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        base: torch.optim.Optimizer,
        *,
        rho: float,
        adaptive: bool = False,
        eta: float = 0.01,
    ) -> None:
        self.parameters = list(parameters)
        self.base = base
        self.rho = rho
        self.adaptive = adaptive
        self.eta = eta

    @torch.no_grad()
    def ascent(self) -> Tensors:
        """Return ε for the gradients now stored in ``.grad``; zeros where there is none."""
        gradient = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        if not self.adaptive:
            return ascent(gradient, self.rho)
        scales = torch._foreach_abs(self.parameters)
        torch._foreach_add_(scales, self.eta)
        step = ascent(torch._foreach_mul(gradient, scales), self.rho)
        torch._foreach_mul_(step, scales)
        return step

    def step(self, gradient: Callable[[], object], ascent_gradient: Callable[[], object]) -> None:
        """Make one step.

        Args:
            gradient: fills ``.grad`` with the gradient at the current weights; called at w + ε.
            ascent_gradient: likewise, called at w; decides ε.
        """
        self.base.zero_grad(set_to_none=True)
        ascent_gradient()
        epsilon = self.ascent()
        with perturbed(self.parameters, epsilon):
            self.base.zero_grad(set_to_none=True)
            gradient()
        self.base.step()
