"""The way to a stationary point: Levenberg-Marquardt steps on ‖∇L‖², round by round."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spectra.landscape.network_landscape import BalancedLoss
from spectra.landscape.walk.gradient_model import GradientModel
from spectra.landscape.walk.index import FLAT
from spectra.landscape.walk.slope_evidence import Round

# Ours: far from a stationary point the model of the gradient is wrong before it is exact.
_FAR_STEPS, _NEAR_STEPS, _GROWTH = 40, 120, 10
_NEAR, _MODEL_LEAVES = 1e-2, 1e-2
# Ours: a hundredth of the gradient may stay for the sake of a shorter step; the next round has it.
_SPARE = 1e-2
# Ours: the gradient has gone where it has fallen by this, ...
_FALLEN = 1e-6
# ... the last step has taken most of what was left of it, was as much shorter than the one before,
# and short beside the way: nothing is left that the search has not reached, and steps shrink.
_LAST_RATIO, _LAST_STEP = 0.3, 0.1
# Ours: ... and what is left of it goes with another such step, all but this share of it, or it is
# where the loss bends by more than what counts as flat (:data:`spectra.landscape.walk.index.FLAT`):
# beside a large gradient, a faint slope hides in directions where nothing bends, or a point far off
# in directions that hardly do.
_LEFT = 1e-4
# Ours: ... and the true gradient does there what its model says, but for this share of it. Beside a
# fold, where two stationary points are about to meet or just have met, a Newton step leaves a
# quarter of the gradient or more.
_UNFORESEEN = 1e-4
# Ours: what rounding leaves of a gradient, relative to the largest curvature times the size of w.
_ROUNDING = 1e-15
# Ours: as trust regions do (Nocedal & Wright 2006, algorithm 4.1).
_ACCEPTED, _POOR, _GOOD, _SHRINKS = 0.05, 0.25, 0.75, 6
_STANDING, _STANDING_ROUNDS = 0.98, 3


@dataclass(frozen=True)
class _Trial:
    """A step that was tried: the gradient where it leads, and how right the model was of it."""

    u: Tensor
    gradient: Tensor
    length: float
    confined: bool
    agreement: float


class Walk:
    """A walk from w towards a stationary point, in balanced parameters.

    Args:
        loss: in balanced parameters.
        radius: R, how far from w it may go.

    Attributes:
        u: where it is.
        gradient: there.
        value: the loss there.
        rounds: what each round has seen where it began.
        products: so far.
        ended: why it ended; empty while it goes on.
        stationary: it ended where the gradient is gone.
        left: it ended because the next step left the ball of radius R.
        model: of the gradient, of the last round.
        model_at: where that was made.
        rest: how long the rest of the way is at most, if each step is at most .3 of the one before:
            .43 of the last, or the next; 0 where the gradient is down to rounding.
    """

    def __init__(self, loss: BalancedLoss, radius: float) -> None:
        landscape = loss.landscape
        self._loss, self._radius = loss, radius
        self.u = torch.zeros(landscape.size, dtype=torch.float64, device=landscape.device)
        self.gradient, self.value = loss.gradient(self.u), loss.loss(self.u)
        self.rounds: list[Round] = []
        self.products = 0
        self.ended, self.stationary, self.left = "", False, False
        self.model: GradientModel | None = None
        self.model_at = self.u
        self.rest = 0.0
        self._first = float(self.gradient.norm())
        self._trust, self._last_length, self._standing = radius / 2, 0.0, 0
        if self._first == 0.0:
            self._arrive("the gradient is 0 at w")

    def go_on(self) -> None:
        """Make one round: a model of the gradient, and the best step that keeps what it promises.

        Cost: 10 to 120 products, a gradient or a few, and a loss.
        """
        model = self._grown_model()
        rounding = _ROUNDING * model.largest * max(self._loss.size_of_w or 0.0, self._radius)
        trial = self._try_steps(model)
        if trial is None:
            self.ended = "no step lowers the gradient as its model says"
            return
        if float(trial.u.norm()) > self._radius:
            self.ended = f"the way leads out of the search radius {self._radius:.3g}"
            self.left = True
            return
        before, after = model.grad_norm, float(trial.gradient.norm())
        shortest, self._last_length = _LAST_RATIO * self._last_length, trial.length
        self._trust_by(trial)
        self.u, self.gradient = trial.u, trial.gradient
        self.value = self._loss.loss(trial.u)
        self._standing = self._standing + 1 if after > _STANDING * before else 0
        gone = float(self.u.norm())
        if after <= rounding:
            self._arrive(f"‖g‖ fell to rounding, from {self._first:.2g} to {after:.2g}")
        elif (
            after <= _FALLEN * self._first
            and after <= _LAST_RATIO * before
            and trial.length <= min(shortest, _LAST_STEP * gone)
            and self._rest_goes(trial.length, rounding)
        ):
            self._arrive(f"‖g‖ fell by {after / self._first:.2g}, at last by {after / before:.2g}")
        elif self._standing >= _STANDING_ROUNDS:
            self.ended = f"{_STANDING_ROUNDS} rounds running hardly lowered the gradient"

    def _rest_goes(self, last: float, rounding: float) -> bool:
        """Say whether what is left of the gradient goes with a short step: by its model, and truly.

        Cost: 12 to 150 products and a gradient.
        """
        model = GradientModel(self._loss.hessian(self.u), self.gradient)
        goes = False
        while not (goes or model.closed or len(model) >= _NEAR_STEPS):
            model.grow(min(len(model) + _GROWTH, _NEAR_STEPS))
            best = model.step(_LAST_STEP * float(self.u.norm()))
            left = model.residual(best)
            size, bend = float(left.norm()), float(model.product(left).norm())
            goes = size <= _LEFT * model.grad_norm or bend >= FLAT * model.largest * size
            self.rest = max(last * _LAST_RATIO / (1 - _LAST_RATIO), best.length)
            self.products += 2
        self.products += len(model)
        if goes:
            there = float(self._loss.gradient(self.u + best.step).norm())
            goes = there <= max(size + _UNFORESEEN * model.grad_norm, 10 * rounding)
        return goes

    def _arrive(self, why: str) -> None:
        self.ended, self.stationary = why, True

    def _grown_model(self) -> GradientModel:
        """Return the model here, in a space that is large enough or as large as it may be."""
        model = GradientModel(self._loss.hessian(self.u), self.gradient)
        limit = _NEAR_STEPS if model.grad_norm <= _NEAR * self._first else _FAR_STEPS
        while not model.closed and len(model) < limit:
            model.grow(min(len(model) + _GROWTH, limit))
            if model.left(self._trust) <= _MODEL_LEAVES:
                break
        self.products += len(model)
        self.model, self.model_at = model, self.u
        self.rounds.append(Round(self.value, model.grad_norm, model.newton_decrement()))
        return model

    def _try_steps(self, model: GradientModel) -> _Trial | None:
        """Return the first step that lowers the gradient as it should, shorter ones later."""
        for _ in range(_SHRINKS):
            best = model.step(self._trust, spare=_SPARE)
            u = self.u + best.step
            gradient = self._loss.gradient(u)
            lowered = 1 - (float(gradient.norm()) / model.grad_norm) ** 2
            promised = 1 - best.left**2
            if promised > 0 and lowered >= _ACCEPTED * promised:
                return _Trial(u, gradient, best.length, best.confined, lowered / promised)
            self._trust = min(self._trust, best.length) / 4
        return None

    def _trust_by(self, trial: _Trial) -> None:
        """Take longer steps where the model was right, shorter ones where it was poor."""
        if trial.agreement < _POOR:
            self._trust = trial.length / 2
        elif trial.agreement > _GOOD and trial.confined:
            self._trust = min(2 * self._trust, self._radius / 2)
