"""How the gradient of a step is taken, where it is not simply the batch's at w."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from checkpoints.models.heads import CosineHead
from checkpoints.recipes.recipe import Recipe
from checkpoints.training.execution import Forward
from checkpoints.training.sam import Tensors, ascent, norm
from spectra.errors import InputError
from spectra.objective.frozen_loss import perturbed
from spectra.objective.per_sample import PerSampleLoss


class Batch:
    """A batch's loss as the sum of its images' terms, Σ_i w_i ℓ_i / Σ_i w_i.

    Args:
        forward: of a model in training mode.
        images: (n, ...), normalised.
        labels: int64 (n,).
        weights: w_i, shape (n,).
        loss: per-sample.
        host_labels: the labels on the CPU, so that rules can see which classes are there without
            a synchronisation; None: they are copied.
    """

    def __init__(
        self,
        forward: Forward,
        images: Tensor,
        labels: Tensor,
        weights: Tensor,
        loss: PerSampleLoss,
        host_labels: Tensor | None = None,
    ) -> None:
        self.forward, self.images, self.labels, self.loss = forward, images, labels, loss
        self.host_labels = labels.cpu() if host_labels is None else host_labels
        self.weights = weights / weights.sum()
        self.seen: tuple[Tensor, Tensor] | None = None

    def terms(self, outputs: Tensor | None = None) -> Tensor:
        """Return the terms, shape (n,), of ``outputs`` or of a forward pass at the weights now."""
        if outputs is None:
            outputs = self.forward(self.images)
        terms = self.weights * self.loss(outputs, self.labels)
        if self.seen is None:
            hits = (outputs.detach().argmax(1) == self.labels).sum()
            self.seen = terms.detach().sum(), hits
        return terms


class GradientRule(ABC):
    """Fills ``.grad`` for the optimizer that descends.

    Args:
        parameters: all of the model's trainable parameters.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = list(parameters)

    @abstractmethod
    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """Fill ``.grad``, which is empty, and leave the weights as they should be stepped from.

        Args:
            batch: the loss.
            generator: a CPU generator of this epoch, for rules that draw.
        """

    def start_epoch(  # noqa: B027, most have nothing to do
        self, rho: float, generator: torch.Generator
    ) -> None:
        """Take this epoch's ρ; forget what is kept within an epoch: a run resumes at epochs.

        Args:
            rho: ρ of this epoch.
            generator: that of :meth:`fill`, new for each epoch.
        """

    def gradient(self, loss: Tensor, *, keep: bool = False) -> list[Tensor]:
        """Return the gradient of ``loss``; ``keep`` its graph for another."""
        return list(
            torch.autograd.grad(loss, self.parameters, retain_graph=keep, materialize_grads=True)
        )

    def put(self, gradient: Sequence[Tensor]) -> None:
        """Store ``gradient`` as ``.grad``."""
        for p, g in zip(self.parameters, gradient, strict=True):
            p.grad = g


def standard_normal(
    parameters: Sequence[Tensor], generator: torch.Generator, times: int = 1
) -> list[list[Tensor]]:
    """Return ``times`` standard normal tensors for each parameter, copied to its device at once.

    Args:
        parameters: of one device.
        generator: a CPU generator, drawn from for one parameter after the other.
        times: how often.
    """
    shapes = [p.shape for _ in range(times) for p in parameters]
    drawn = [torch.randn(shape, generator=generator) for shape in shapes]
    flat = torch.cat([d.reshape(-1) for d in drawn]).to(parameters[0].device)
    pieces = flat.split([d.numel() for d in drawn])
    shaped = [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]
    n = len(parameters)
    return [
        [d.to(p) for d, p in zip(shaped[k * n : (k + 1) * n], parameters, strict=True)]
        for k in range(times)
    ]


def _sum(a: Tensors, b: Tensors, factor: float = 1.0) -> Tensors:
    # Multiplied before it is added: with ``alpha`` the two would be rounded as one.
    return torch._foreach_add(a, b if factor == 1.0 else torch._foreach_mul(b, factor))


class AscentRule(GradientRule):
    """A rule with a radius that may change from epoch to epoch.

    Args:
        parameters: see :class:`GradientRule`.
        rho: ρ, parameter units.
    """

    def __init__(self, parameters: Sequence[Tensor], *, rho: float) -> None:
        super().__init__(parameters)
        self.rho = rho

    def start_epoch(self, rho: float, generator: torch.Generator) -> None:
        """Take this epoch's ρ."""
        self.rho = rho


class ImbSAM(AscentRule):
    """∇L_head(w) + ∇L_tail(w + ρ ∇L_tail/‖∇L_tail‖): SAM for the rare classes alone.

    Args:
        parameters: see :class:`GradientRule`.
        rho: radius.
        tail: whether a class counts as tail (n_c < η), bool (C,).

    Source: Zhou et al., ICCV 2023.
    """

    def __init__(self, parameters: Sequence[Tensor], *, rho: float, tail: Tensor) -> None:
        super().__init__(parameters, rho=rho)
        self.tail = tail
        self._ranks = tail.to(torch.uint8)  # on the device of the labels, once there were any

    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """Two passes; one where the batch holds no tail image."""
        terms = batch.terms()
        rare = int(self.tail[batch.host_labels].sum())
        if not rare:
            self.put(self.gradient(terms.sum()))
            return
        self._ranks = self._ranks.to(batch.labels.device)
        tail_last = self._ranks[batch.labels].argsort(stable=True)
        of_head, of_tail = tail_last.split([len(tail_last) - rare, rare])
        head = self.gradient(terms[of_head].sum(), keep=True)
        with perturbed(self.parameters, ascent(self.gradient(terms[of_tail].sum()), self.rho)):
            tail = self.gradient(batch.terms()[of_tail].sum())
        self.put(_sum(head, tail))


class FocalSAM(AscentRule):
    """∇[L + λ (L^γ(w + ε) - L^γ(w))] with L^γ = Σ (1-π_y)^γ terms and ε = ρ ∇L^γ/‖∇L^γ‖.

    The sharpness of a class counts the more, the rarer it is. λ = 1 and γ = 0 are SAM.

    Args:
        parameters: see :class:`GradientRule`.
        rho: radius.
        factor: λ.
        class_weights: (1-π_c)^γ, shape (C,).

    Source: Li et al., ICML 2025; this form of the objective is our reading.
    """

    def __init__(
        self, parameters: Sequence[Tensor], *, rho: float, factor: float, class_weights: Tensor
    ) -> None:
        super().__init__(parameters, rho=rho)
        self.factor, self.class_weights = factor, class_weights

    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """Two passes."""
        terms = batch.terms()
        self.class_weights = self.class_weights.to(terms)  # copied at the first batch alone
        focal = self.class_weights[batch.labels]
        plain = self.gradient(terms.sum(), keep=True)
        at_w = self.gradient((focal * terms).sum())
        with perturbed(self.parameters, ascent(at_w, self.rho)):
            above = self.gradient((focal * batch.terms()).sum())
        self.put(_sum(_sum(plain, above, self.factor), at_w, -self.factor))


class CCSAM(AscentRule):
    """Σ_c ∇L_c(w + ε_c), ε_c = ρ_c ∇_h L_c/‖∇_h L_c‖ on the classifier h alone.

    L_c holds the terms of class c in the batch. The features are the same for all classes, so one
    pass through the network serves.

    Args:
        parameters: see :class:`GradientRule`.
        model: its last linear or cosine layer is the classifier.
        rho: ρ.
        scales: ρ_c / ρ, shape (C,).

    Source: Zhou et al., CVPR 2023.
    """

    def __init__(
        self, parameters: Sequence[Tensor], *, model: nn.Module, rho: float, scales: Sequence[float]
    ) -> None:
        super().__init__(parameters, rho=rho)
        heads = [m for m in model.modules() if isinstance(m, nn.Linear | CosineHead)]
        if not heads:
            raise InputError("cc-sam needs a linear or cosine classifier; this network has none")
        self.head, self.scales = heads[-1], list(scales)

    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """One pass, and one of the classifier for each class in the batch."""
        features: list[Tensor] = []
        hook = self.head.register_forward_hook(lambda _, inputs, __: features.append(inputs[0]))
        try:
            outputs = batch.forward(batch.images)
        finally:
            hook.remove()
        terms = batch.terms(outputs)
        names, weights = zip(*self.head.named_parameters(), strict=True)
        raised = torch.zeros_like(outputs)
        shown = features[0].to(outputs)  # of fewer bits under autocast
        classes, counts = batch.host_labels.unique(return_counts=True)
        by_class = batch.labels.argsort(stable=True).split(counts.tolist())
        for c, mine in zip(classes.tolist(), by_class, strict=True):
            slope = torch.autograd.grad(terms[mine].sum(), weights, retain_graph=True)
            step = ascent(slope, self.rho * self.scales[c])
            there = {n: w + e for n, w, e in zip(names, weights, step, strict=True)}
            of_class = functional_call(self.head, there, (shown[mine],))
            raised = raised.index_put((mine,), of_class)
        self.put(self.gradient(batch.terms(raised).sum()))


class LowPassSGD(GradientRule):
    """The gradient at w + n, averaged over draws: SGD on a smoothed loss.

    n is normal with standard deviation γ‖w_f‖ for each output filter f of a tensor of more than one
    dimension, and γ‖w‖ for a vector or a number.

    Args:
        parameters: see :class:`GradientRule`.
        gamma: γ.
        draws: M.
        by_column: for each parameter, whether its output filters are its columns; None: of none.

    Source: Bisla et al., AISTATS 2022.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        *,
        gamma: float,
        draws: int,
        by_column: Sequence[bool] | None = None,
    ) -> None:
        super().__init__(parameters)
        self.gamma, self.draws = gamma, draws
        self.by_column = by_column or [False] * len(self.parameters)

    def noise(self, generator: torch.Generator) -> list[Tensors]:
        """Return the M draws of n."""
        scales = torch._foreach_mul(self._sizes(), self.gamma)
        drawn = standard_normal(self.parameters, generator, self.draws)
        return [torch._foreach_mul(scales, d) for d in drawn]

    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """M passes, none of them at w: what is reported of the batch is of the first draw."""
        total: Tensors = []
        for n in self.noise(generator):
            with perturbed(self.parameters, n):
                share = torch._foreach_mul(self.gradient(batch.terms().sum()), 1 / self.draws)
            total = _sum(total, share) if total else share
        self.put(total)

    def _sizes(self) -> list[Tensor]:
        """Return what n is relative to: one number a filter of a tensor, or one in all."""
        weights = [p.detach() for p in self.parameters]
        whole = [w for w in weights if w.ndim < 2]
        norms = iter(torch._foreach_norm(whole) if whole else ())
        found = []
        for w, columns in zip(weights, self.by_column, strict=True):
            over = [0] if columns else list(range(1, w.ndim))
            found.append(
                next(norms) if w.ndim < 2 else torch.linalg.vector_norm(w, dim=over, keepdim=True)
            )
        return found


class PerturbedGradient(GradientRule):
    """Moves w by a random vector where the gradient is small, then goes on as plain descent.

    A vector uniform in the ball of radius r is added when ‖g‖ <= threshold and the last one was
    more than ``interval`` steps ago, or in another epoch.

    Args:
        parameters: see :class:`GradientRule`.
        radius: r.
        threshold: g_thres, of the batch's gradient.
        interval: t_thres, steps.

    Source: Jin et al., ICML 2017, algorithm 2, with a batch's gradient for the full one.
    """

    def __init__(
        self, parameters: Sequence[Tensor], *, radius: float, threshold: float, interval: int
    ) -> None:
        super().__init__(parameters)
        self.radius, self.threshold, self.interval = radius, threshold, interval
        self.since = interval
        self._next: Tensors | None = None

    def start_epoch(self, rho: float, generator: torch.Generator) -> None:
        """Allow a perturbation at once."""
        self.since = self.interval
        self._next = self.ball(generator)

    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """One pass; two where w is moved. The norm is read where a move is allowed.

        The next vector is on the device before it is needed: after a move it is copied there in the
        step that follows, which reads no norm unless ``interval`` is 0.
        """
        gradient = self.gradient(batch.terms().sum())
        self.since += 1
        if self._next is None:
            self._next = self.ball(generator)
        if self.since > self.interval and float(norm(gradient)) <= self.threshold:
            self.since = 0
            with torch.no_grad():
                torch._foreach_add_(self.parameters, self._next)
            self._next = None
            gradient = self.gradient(batch.terms().sum())
        self.put(gradient)

    def ball(self, generator: torch.Generator) -> Tensors:
        """Return a vector uniform in the ball of radius r."""
        (drawn,) = standard_normal(self.parameters, generator)
        size = sum(p.numel() for p in self.parameters)
        share = float(torch.rand((), generator=generator, dtype=torch.float64)) ** (1 / size)
        return torch._foreach_mul(drawn, self.radius * share / norm(drawn))


def make_rule(
    recipe: Recipe, model: nn.Module, class_counts: tuple[int, ...]
) -> GradientRule | None:
    """Return the rule of a recipe's optimizer; None where it is SGD, SAM or ASAM.

    Raises:
        InputError: the network has no classifier for CC-SAM to move.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    counts = torch.tensor(class_counts, dtype=torch.float64)
    rho = recipe.rho
    if recipe.optimizer == "imbsam":
        return ImbSAM(parameters, rho=rho, tail=_tail_classes(counts, recipe.tail_below))
    if recipe.optimizer == "focal-sam":
        weights = (1 - counts / counts.sum()) ** recipe.focal_sam_gamma
        return FocalSAM(parameters, rho=rho, factor=recipe.focal_sam_factor, class_weights=weights)
    if recipe.optimizer == "cc-sam":
        scales = ((counts.max() / counts) ** recipe.cc_power).tolist()
        return CCSAM(parameters, model=model, rho=rho, scales=scales)
    if recipe.optimizer == "lpf-sgd":
        heads = [module.weight for module in model.modules() if isinstance(module, CosineHead)]
        columns = [any(p is weight for weight in heads) for p in parameters]
        return LowPassSGD(
            parameters, gamma=recipe.lpf_gamma, draws=recipe.lpf_draws, by_column=columns
        )
    if recipe.optimizer == "pgd":
        return PerturbedGradient(
            parameters,
            radius=recipe.pgd_radius,
            threshold=recipe.pgd_threshold,
            interval=recipe.pgd_interval,
        )
    return None


def _tail_classes(counts: Tensor, below: float) -> Tensor:
    """Return whether each class is ImbSAM's tail: n_c < ``below``; 0: n_c among the lowest third.

    Raises:
        InputError: that is no class, or every class.
    """
    third = counts.sort().values[max(1, len(counts) // 3) - 1]
    tail = counts < below if below else counts <= third
    if tail.any() and not tail.all():
        return tail
    which = "every class" if tail.any() else "no class"
    limit = f"below {below:g}" if below else f"of at most {third:g}"
    raise InputError(
        f"ImbSAM needs classes that are tail and others that are not; {which} has a size {limit}; "
        f"set tail_below between {counts.min():g} and {counts.max():g}, or take plain SAM"
    )
