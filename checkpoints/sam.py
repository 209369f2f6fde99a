"""SAM and ASAM as an ascent step around any torch optimizer."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from spectra.frozen_loss import perturbed


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
    def ascent(self) -> list[Tensor]:
        """Return ε for the gradients now stored in ``.grad``; zeros where there is none."""
        scales = [
            p.abs() + self.eta if self.adaptive else torch.ones_like(p) for p in self.parameters
        ]
        scaled = [
            torch.zeros_like(p) if p.grad is None else p.grad * t
            for p, t in zip(self.parameters, scales, strict=True)
        ]
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in scaled]))
        # 1e-12, as in the common implementations: at a stationary point ε = 0.
        return [self.rho / (norm + 1e-12) * g * t for g, t in zip(scaled, scales, strict=True)]

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
