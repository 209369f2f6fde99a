"""What is asked of an analysis.

The command line reads the fields for its help, so torch is imported when a request is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from checkpoints.choices import ANALYZED_LOSSES, DTYPES, OBJECTIVE, REDUCTIONS
from spectra.engines.settings import SolverSettings
from spectra.errors import InputError
from spectra.findings.verdict import TAU
from spectra.krylov.defaults import AUTO

if TYPE_CHECKING:
    from spectra.products import Tuning

RHOS = (0.05, 0.1, 0.2, 0.5, 0.8)


@dataclass(frozen=True)
class AnalysisRequest:
    """What to compute of a checkpoint.

    Attributes:
        classes: ``all``, ``overall``, ``head``, ``mid``, ``tail``, labels; joined by commas; of the
            training objective, which is one loss, ``all`` is ``overall``. ``sample:20`` draws 20
            classes at random from each group, ``tail:20`` from one; the solver's seed draws them.
        split: ``train`` or ``test`` images.
        loss: ``ce``, ``train``, ``reference`` or ``objective``, see
            :func:`checkpoints.analysis.analyzed_loss.loss_terms`.
        weight_decay: of ``objective``; None: the recipe's.
        reduction: ``mean`` over the images of each loss, or ``global``: its share of the whole.
        groups: ``0-2/3-6/7-9``; ``many/medium/few``: by 100 and 20 training images; None: the
            paper's split by class size.
        normalisation: name or numbers, see ``parse_normalisation``, or ``data``; None: as the
            checkpoint recorded, else the data's default.
        images_per_class: limit; None: every image.
        dtype: ``float32`` or ``float64``.
        device: torch device.
        parameters: names or globs of parameters or modules, such as ``layer3.*``: the Hessian by
            these alone, the others held fixed; empty: by all.
        gauss_newton: the Gauss-Newton matrix in place of the Hessian: the part of it that comes
            from how the loss bends, without what the bending of the network adds.
        images: ``plain``, ``frozen:K``, ``frozen:all`` or ``fresh``, see
            :class:`checkpoints.data.ImageProtocol`; crops and flips are those of the recipe.
        radius: r of the verdict; None: the recipe's last ρ, else .1.
        tau: relative tolerance of the verdict.
        micro_chunk: images in one piece of work; None: by image size.
        memory: bytes that the process may hold in all; None: half of what is free, of a card 85 %.
        tuning: how products are computed, see :func:`spectra.products.parse_tuning`.
        deterministic: refuse a tuning that may give other bytes each time.
        solver: engine, probes, steps, seed.
    """

    classes: str = "all"
    split: str = "train"
    loss: str = "ce"
    weight_decay: float | None = None
    reduction: str = "mean"
    groups: str | None = None
    normalisation: str | None = None
    images_per_class: int | None = None
    dtype: str = "float32"
    device: str = "cpu"
    parameters: tuple[str, ...] = ()
    gauss_newton: bool = False
    images: str = "plain"
    radius: float | None = None
    tau: float = TAU
    micro_chunk: int | None = None
    memory: int | None = None
    tuning: str = "default"
    deterministic: bool = False
    solver: SolverSettings = field(default_factory=SolverSettings)

    def __post_init__(self) -> None:
        from checkpoints.data.views import FRESH, ImageProtocol

        given: object = self.parameters
        if isinstance(given, str):
            object.__setattr__(self, "parameters", (given,))
        for name, words in (
            ("loss", ANALYZED_LOSSES),
            ("reduction", REDUCTIONS),
            ("dtype", DTYPES),
        ):
            if getattr(self, name) not in words:
                raise InputError(
                    f"{name} must be one of {', '.join(words)}, got {getattr(self, name)!r}"
                )
        self._check_objective()
        solver = self.solver
        searches = solver.stationary or self.loss == "objective"
        if not searches and (solver.search_radius or solver.search_products):
            raise InputError(
                "--search-radius and --search-products are of the search for a stationary point, "
                f"which --loss {self.loss} does not make by itself; leave them out, or give "
                "--stationary"
            )
        for name, value in (("radius", self.radius), ("tau", self.tau), ("tol", solver.tol)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"{name} must be positive and finite, got {value}")
        for name, count in (
            ("images-per-class", self.images_per_class),
            ("micro-chunk", self.micro_chunk),
            ("memory", self.memory),
        ):
            if count is not None and count < 1:
                raise InputError(f"{name} must be at least 1, got {count}")
        tuning = self.parsed_tuning
        if solver.basis in ("none", AUTO) and (isinstance(tuning, str) or not tuning.deterministic):
            raise InputError(
                f"basis {solver.basis} may repeat the products of a run, for which a tuning must "
                f"give the same bytes each time; leave out --basis {solver.basis} or "
                f"--tuning {self.tuning}"
            )
        fresh = ImageProtocol.parse(self.images).kind == FRESH
        if fresh and solver.certify_below:
            raise InputError(
                "nothing is certified of images fresh, which have no fixed matrix; leave out "
                "--certify-below, or take --images plain or frozen:K"
            )
        if fresh and (solver.top or solver.per_layer or solver.stationary):
            raise InputError(
                "images fresh have no fixed matrix, and so no eigenpairs and no stationary point; "
                "leave out --top, --per-layer and --stationary (of --loss objective: give "
                "--no-stationary), or take --images plain or frozen:K"
            )
        if self.gauss_newton and (fresh or solver.engine != "spectra"):
            raise InputError(
                "the Gauss-Newton matrix is of fixed images, by engine spectra; leave out "
                f"--gauss-newton, or --images {self.images} and --engine {solver.engine}"
            )
        if self.gauss_newton and solver.stationary:
            raise InputError(
                "a stationary point is searched for with the Hessian; leave out --gauss-newton, or "
                "--stationary (of --loss objective: give --no-stationary)"
            )

    def _check_objective(self) -> None:
        """Raise InputError where something asked for is not of the training objective."""
        decay = self.weight_decay
        if self.loss != OBJECTIVE:
            if decay is not None:
                raise InputError(
                    f"weight decay is part of the training objective alone, got {decay} for --loss "
                    f"{self.loss}; leave it out or take --loss objective"
                )
            return
        if self.classes not in ("all", "overall"):
            raise InputError(
                "the training objective is one loss of all classes; leave out --classes "
                f"{self.classes}, or take --loss train"
            )
        object.__setattr__(self, "classes", "overall")
        if self.solver.stationary is None:
            object.__setattr__(self, "solver", replace(self.solver, stationary=True))
        if self.split != "train":
            raise InputError(
                f"the training objective is of the training images; leave out --split {self.split}"
            )
        if decay is not None and not 0 <= decay < math.inf:
            raise InputError(f"weight-decay must be finite and at least 0, got {decay}")

    @property
    def parsed_tuning(self) -> Tuning | str:
        """The tuning as :class:`spectra.HessianOperator` takes it."""
        from spectra.products import parse_tuning

        return parse_tuning(self.tuning, deterministic=self.deterministic)

    def groups_of(self, class_counts: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Return the classes of head, mid and tail, or of many, medium and few."""
        from checkpoints.data.longtail import groups_by_size, many_medium_few, parse_groups
        from spectra.results.groups.by_size import MANY_MEDIUM_FEW

        if self.groups is None:
            return groups_by_size(class_counts)
        if self.groups == "/".join(MANY_MEDIUM_FEW):
            return many_medium_few(class_counts)
        return parse_groups(self.groups, num_classes=len(class_counts))


@dataclass(frozen=True)
class TheoremRequest:
    """What to measure of SAM along the negative curvature of classes, and of its theorem.

    Attributes:
        analysis: classes, split, loss, images: as in ``spectra analyze``.
        rhos: radii.
        num_batches: mini-batches, drawn from all images of the split.
        batch_size: images in each, without replacement.
    """

    analysis: AnalysisRequest
    rhos: tuple[float, ...] = RHOS
    num_batches: int = 50
    batch_size: int = 128

    def __post_init__(self) -> None:
        from checkpoints.data.views import FRESH

        if not self.rhos or not all(0 < rho < math.inf for rho in self.rhos):
            raise InputError(
                f"rho must be positive, finite radii such as 0.05,0.5, got {self.rhos}"
            )
        if self.num_batches < 2 or self.batch_size < 1:
            raise InputError(
                "num-batches must be at least 2 and batch-size at least 1, got "
                f"{self.num_batches} and {self.batch_size}"
            )
        if self.analysis.parameters or self.analysis.gauss_newton:
            raise InputError(
                "SAM moves all parameters, and so the Hessian is by all of them; leave out "
                "--parameters and --gauss-newton"
            )
        if self.analysis.loss == OBJECTIVE:
            raise InputError(
                "SAM is measured of losses without weight decay; take --loss ce or train"
            )
        if self.analysis.images == FRESH:
            raise InputError(
                "what SAM does is measured of a fixed matrix; use --images plain or frozen:K"
            )
