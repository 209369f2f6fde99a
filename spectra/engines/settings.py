"""What every engine takes; nothing here imports torch."""

import math
from dataclasses import dataclass, field

from spectra.errors import InputError, check_count, check_integer, is_number
from spectra.krylov.defaults import (
    ACTIVE_TOLERANCE,
    AUTO,
    FLOOR,
    MAX_STEPS,
    MOST_STEPS,
    NUM_PROBES,
    NUM_STEPS,
    PROBES,
    STORAGES,
    TOLERANCE,
)
from spectra.krylov.tolerance import Tolerance
from spectra.system.files.writing import WHEN_SET

# The function of each engine, which is imported when it is first asked for.
ENGINES = {
    "spectra": "spectra.engines.own:run_spectra",
    "pyhessian": "spectra.engines.pyhessian:run_pyhessian",
}


@dataclass(frozen=True)
class SolverSettings:
    """How a spectrum is computed.

    Attributes:
        engine: one of :data:`ENGINES`.
        num_probes: random probes of the density (PyHessian: ``n_v``); 0: no density, the extremes
            alone, most of the work done on active images
            (:mod:`spectra.active.extremes_by_active_images`).
        num_steps: Lanczos steps for each (PyHessian: ``iter``).
        probe: distribution of the probes.
        tol: relative residual asked of the extremes; None: .01 beside a density, .03 over all
            images without one.
        floor: relative size under which an eigenvalue counts as zero.
        max_steps: limit on the steps of the run that the extremes come from.
        seed: of the probes.
        proof: take the extremes' values and residuals from float64 products.
        certify_below: carry a cold run over all images on until it bounds λmin from below.
        basis: where Lanczos keeps its vectors, see :data:`spectra.krylov.defaults.STORAGES`;
            ``auto``: as memory allows, see :func:`spectra.engines.memory.planned_memory`.
        max_basis: Lanczos vectors that fit into memory; None: any number.
        density_images: ``all``, or ``auto``: those of most curvature, where a stated bound on the
            error allows it (:mod:`spectra.active.density_by_active_images`).
        top: eigenpairs wanted at each end, copies counted; 0: λmin and λmax alone.
        per_layer: find λmin, λmax and trace of every layer's block too.
        bending: measure what negative curvature does for the loss within the verdict's radius, see
            :func:`spectra.measure_bending`; of a Hessian of fixed images.
        stationary: search for a stationary point near by
            (:func:`spectra.find_stationary_point`); None: of the training objective alone.
        search_radius: R of that search; None: five times the verdict's radius.
        search_products: products after which the search begins no round; None: as many as
            :func:`spectra.find_stationary_point` takes.
    """

    engine: str = "spectra"
    num_probes: int = NUM_PROBES
    num_steps: int = NUM_STEPS
    probe: str = "normal"
    tol: float | None = None
    floor: float = FLOOR
    max_steps: int = MAX_STEPS
    seed: int = 0
    proof: bool = True
    certify_below: bool = False
    basis: str = "device"
    max_basis: int | None = None
    density_images: str = "all"
    top: int = field(default=0, metadata=WHEN_SET)
    per_layer: bool = field(default=False, metadata=WHEN_SET)
    bending: bool = field(default=True, metadata=WHEN_SET)
    stationary: bool | None = field(default=None, metadata=WHEN_SET)
    search_radius: float | None = field(default=None, metadata=WHEN_SET)
    search_products: int | None = field(default=None, metadata=WHEN_SET)

    def __post_init__(self) -> None:
        for name in ("num_probes", "num_steps", "max_steps", "seed", "top"):
            value = getattr(self, name)
            check_integer(name, value)
            object.__setattr__(self, name, int(value))  # NumPy's integers too
        for name, least in (("num_probes", 0), ("num_steps", 1), ("max_steps", 1), ("top", 0)):
            if not least <= getattr(self, name) <= MOST_STEPS:
                raise InputError(
                    f"{name} must be in {least}..{MOST_STEPS:,}, got {getattr(self, name)}"
                )
        self.tolerance  # noqa: B018 - raises where it is none, before any work
        if self.density_images not in ("all", "auto"):
            raise InputError(f"density_images must be all or auto, got {self.density_images!r}")
        for name, words in (("engine", ENGINES), ("probe", PROBES), ("basis", (*STORAGES, AUTO))):
            if getattr(self, name) not in words:
                raise InputError(
                    f"{name} must be one of {', '.join(words)}, got {getattr(self, name)!r}"
                )
        if self.max_basis is not None:
            check_count("max_basis", self.max_basis)
        radius, products = self.search_radius, self.search_products
        if radius is not None and not (is_number(radius) and 0 < radius < math.inf):
            raise InputError(f"search_radius must be positive and finite, got {radius!r}")
        if products is not None:
            check_count("search_products", products)
        more = self.certify_below or self.top or self.per_layer or self.stationary
        if self.engine != "spectra" and (self.num_probes < 1 or more):
            raise InputError(
                f"engine {self.engine} needs at least one probe, bounds nothing from below, counts "
                "no eigenpairs, knows no layers and searches for no stationary point; use engine "
                "spectra"
            )
        if self.certify_below and self.basis == "half":
            raise InputError(
                "a basis in half precision bounds nothing from below; "
                "use basis device, host or none"
            )

    @property
    def storage(self) -> str:
        """Where a run keeps its vectors: ``basis``, or where the operator is if nobody chose."""
        return "device" if self.basis == AUTO else self.basis

    @property
    def extremes_only(self) -> bool:
        """Whether neither a density nor a bound from below is asked for: a start may be warm."""
        return self.num_probes == 0 and not self.certify_below

    @property
    def on_active_images(self) -> bool:
        """Whether the extremes come from :mod:`spectra.active.extremes_by_active_images`."""
        return self.engine == "spectra" and (
            self.extremes_only or (self.density_images == "auto" and not self.certify_below)
        )

    @property
    def tolerance(self) -> Tolerance:
        """What is asked of the extremes: ``tol``, or what stands in for it, and ``floor``."""
        standing_in = ACTIVE_TOLERANCE if self.on_active_images else TOLERANCE
        return Tolerance(standing_in if self.tol is None else self.tol, self.floor)
