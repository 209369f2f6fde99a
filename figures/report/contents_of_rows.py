"""The rows of a report: one loss at one checkpoint, with its density."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Extreme:
    """λmin or λmax, and what bounds it.

    Attributes:
        value: a Rayleigh quotient; of draws that change a Ritz value.
        residual: ‖Hv − λv‖ of its vector, no error bar; None where nothing checks it.
        sign: ``≤`` or ``≥`` where it has not converged, and the extreme may lie further out.
        attained: the extreme is here or further out; None without a certificate.
        beyond: no eigenvalue lies beyond this; None where nothing bounds it.
        probability: of what ``beyond`` says, over the start vector.
        proven: ``attained`` comes from a float64 pass over all images; else it is estimated.
        grounds: the three statements of the certificate, each a line; empty without one.
    """

    value: float
    residual: float | None
    sign: str
    attained: float | None
    beyond: float | None
    probability: float | None
    proven: bool
    grounds: tuple[str, ...]


@dataclass(frozen=True)
class DensityNodes:
    """Raw quadrature of a density, from which the page smooths it anew.

    At x it is Σ weight · g(x − node), g the Gaussian of width σ, and a line for each resolved
    eigenvalue, as high as its Gaussian: 1 / (P σ √2π). Nodes of a weight under 1e-12 are left out:
    in the page, whose axis begins at 1e-7, they would be seen at widths under 4e-6 alone.

    Attributes:
        size: P, the number of parameters.
        nodes: of what is not resolved, all probes together, rising: float32, little-endian, in
            base64.
        weights: of these nodes, alike; they sum to (P − k) / P where k eigenvalues are resolved.
        ends: the outermost nodes that are not resolved; empty where all are.
        resolved: eigenvalues that every probe has resolved, rising.
        residuals: ‖Hv − λv‖ of each.
        massless: outermost nodes that carry no mass: they belong to no eigenvalue.
        sigma: the width that PyHessian would take for this density alone.
        probes: random probes.
        steps: Lanczos steps of the longest of them.
    """

    size: int
    nodes: str
    weights: str
    ends: tuple[float, ...]
    resolved: tuple[float, ...]
    residuals: tuple[float, ...]
    massless: tuple[float, ...]
    sigma: float
    probes: int
    steps: int


@dataclass(frozen=True)
class ClassRow:
    """One loss at one checkpoint: a line of the matrix, and a point of a trajectory.

    Attributes:
        run: place in :attr:`figures.report.contents.Report.runs`.
        source: place in :attr:`figures.report.contents.Report.sources`.
        epoch: epochs of training done; None where the checkpoint does not say.
        split: ``train`` or ``test``: the images whose loss it is.
        label: name in :attr:`figures.report.contents.Report.labels`.
        n: images.
        loss: mean over them.
        accuracy_train: fraction right of the training images of these classes.
        accuracy_test: of the test images.
        lambda_min: see :class:`Extreme`.
        lambda_max: see :class:`Extreme`.
        ratio: |λmin/λmax|.
        grad_norm: ‖g‖.
        grad_along_vmin: |⟨g, v_min⟩| / ‖g‖, from 0 to 1.
        critical_radius: ρ* = 2‖g‖/|λmin|, where bending would overtake the slope.
        radius: r: how far a step may go.
        lowered: part of the loss that the best step within r removes.
        bending_share: part of that decrease that negative curvature brings.
        lowered_by_bending: part of the loss that it removes: the product of the two.
        verdict: what the curvature is.
        reason: the comparison that decided.
        sentence: what was found, for people.
        next_step: what would change or settle it, for people.
        stationary: what stationary point is near, where that was asked for.
        stationary_distance: how far away.
        unusual: what to know before trusting the row, a sentence each.
        density: None where only the extremes were asked for.
    """

    run: int
    source: int
    epoch: int | None
    split: str | None
    label: str
    n: int
    loss: float
    accuracy_train: float | None
    accuracy_test: float | None
    lambda_min: Extreme
    lambda_max: Extreme
    ratio: float | None
    grad_norm: float
    grad_along_vmin: float | None
    critical_radius: float | None
    radius: float
    lowered: float | None
    bending_share: float | None
    lowered_by_bending: float | None
    verdict: str
    reason: str
    sentence: str
    next_step: str
    stationary: str | None
    stationary_distance: float | None
    unusual: tuple[str, ...]
    density: DensityNodes | None
