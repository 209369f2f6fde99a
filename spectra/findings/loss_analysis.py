"""What is found of one loss."""

from dataclasses import dataclass, field

from spectra.active.density_by_active_images import DensityBound
from spectra.findings.certificates import Certificate
from spectra.findings.confidence import ImageBootstrap
from spectra.findings.counted_eigenpairs import BothEnds
from spectra.findings.layers import LayerSpectrum
from spectra.findings.product_noise import ProductNoise
from spectra.findings.spectrum_check import SpectrumCheck
from spectra.findings.verdict import NOT_THE_HESSIAN, UNDECIDED, Verdict
from spectra.krylov.extremes import Extremes
from spectra.krylov.spectrum import Spectrum
from spectra.krylov.tolerance import Tolerance
from spectra.landscape.bending import Bending
from spectra.landscape.stationary_point import StationaryPoint


@dataclass(frozen=True)
class LossAnalysis:
    """Spectrum, extremes, gradient and verdict of one loss (a class's, a group's, the whole).

    Eigenvalues are in loss / parameter², gradients in loss / parameter; all are multiplied by
    ``factor``.

    Attributes:
        label: ``8``, ``head``, ``overall`` ...
        classes: the labels of the images.
        n: number of images.
        factor: 1 for the mean over the images; the share of the training objective for a
            contribution.
        loss: mean loss, times ``factor``.
        fit_accuracy: fraction of these same images that the network gets right.
        lambda_min: Rayleigh quotient at the lower end.
        lambda_max: Rayleigh quotient at the upper end.
        residual_min: ‖Hy - λmin y‖ of a fresh product.
        residual_max: ‖Hy - λmax y‖ of a fresh product.
        converged: both ends met their tolerance.
        steps: Lanczos steps of the run that the extremes come from.
        grad_norm: ‖g‖.
        grad_along_vmin: |⟨g, v_min⟩| / ‖g‖, between 0 and 1.
        spectrum: raw quadrature; None where no density was asked for.
        verdict: what the curvature is at these weights, and why.
        accuracy: fraction right on test images of the same classes, where there are any.
        certificates: what is known of λmin and of λmax, and on what grounds; in the units above.
        products: how Hessian-vector products were made.
        image_products: what all this cost, in images times vectors, see
            :class:`spectra.objective.counting.ImageCount`.
        active_images: images that Lanczos ran on; ``n`` where it ran on all.
        start: ``cold`` or ``warm``.
        overlaps: |⟨v, v_before⟩| of both extreme vectors with those of the warm start.
        bootstrap: how λmin, λmax and their ratio vary over draws of the images, to first order;
            small classes only.
        density: how far ``spectrum`` can be from that of all images; None: it is that of all.
        noise: where every product had a new draw of the images; the extremes are then Ritz values,
            without residual or certificate, of no matrix.
        top: the eigenvalues at both ends, copies counted, where they were asked for.
        layers: λmin, λmax and trace of the block of each layer, where they were asked for.
        grad_norm_error: what rounding may have done to ``grad_norm``, from a float64 pass; None
            where it is of a pass in float32.
        bending: what negative curvature does for the loss within r; None where it was not asked.
        stationary: whether a stationary point is near by, where that was asked for.
        extremes: the vectors of λmin and λmax, for a warm start, or of ``top``; not part of a
            result file.
    """

    label: str
    classes: tuple[int, ...]
    n: int
    factor: float
    loss: float
    fit_accuracy: float
    lambda_min: float
    lambda_max: float
    residual_min: float | None
    residual_max: float | None
    converged: bool
    steps: int
    grad_norm: float
    grad_along_vmin: float | None
    spectrum: Spectrum | None
    verdict: Verdict
    accuracy: float | None = None
    certificates: tuple[Certificate, Certificate] | None = None
    products: str = ""
    image_products: float | None = None
    active_images: int | None = None
    start: str = "cold"
    overlaps: tuple[float, float] | None = None
    bootstrap: ImageBootstrap | None = None
    density: DensityBound | None = None
    noise: ProductNoise | None = None
    top: BothEnds | None = None
    layers: tuple[LayerSpectrum, ...] = ()
    grad_norm_error: float | None = None
    bending: Bending | None = None
    stationary: StationaryPoint | None = None
    extremes: Extremes | None = field(default=None, repr=False, compare=False)

    @property
    def open_ended(self) -> bool:
        """Whether an end of the spectrum has not converged; fresh draws have no matrix for that."""
        return not self.converged and self.noise is None

    @property
    def massless_ends(self) -> str:
        """What is wrong with the ends of the density, with its numbers; empty where nothing is."""
        ends = None if self.spectrum is None else SpectrumCheck.of(self.spectrum)
        return ends.sentence if ends is not None and ends.warning else ""

    @property
    def ratio(self) -> float | None:
        """|λmin / λmax|; None for a zero matrix, and for the Gauss-Newton matrix."""
        if self.verdict.name == NOT_THE_HESSIAN:
            return None
        return abs(self.lambda_min / self.lambda_max) if self.lambda_max else None

    @property
    def sentence(self) -> str:
        """What was found beside the verdict's name, for people; empty where nothing else was."""
        found = (self.stationary, self.bending)
        return " ".join(one.sentence for one in found if one is not None)

    @property
    def next_step(self) -> str:
        """What is to be done about what is open; where nothing is, what bending depends on."""
        if self.verdict.name == UNDECIDED:
            return self.verdict.next_step
        if self.stationary is not None and self.stationary.name == UNDECIDED:
            return self.stationary.next_step
        if self.bending is not None:
            return self.bending.next_step
        return (self.stationary or self.verdict).next_step

    def unsettled_ends(self, tolerance: Tolerance) -> tuple[bool, bool]:
        """Say of λmin and of λmax whether an eigenvalue further out may have been missed.

        Args:
            tolerance: that the run was to meet.
        """
        if not self.open_ended:
            return False, False
        allowed = tolerance.allowed([self.lambda_min, self.lambda_max])
        residuals = (self.residual_min, self.residual_max)
        wide = [r is None or bool(r > most) for r, most in zip(residuals, allowed, strict=True)]
        return (wide[0], wide[1]) if any(wide) else (True, True)
