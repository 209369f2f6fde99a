"""What the page of a report shows: the document that is embedded in it as JSON.

The page (``page/``) draws what stands here and computes one thing of its own, smoothed densities.
Numbers are rounded to seven digits, what a float32 carries; None where nothing is known.
Eigenvalues are in loss / parameter², gradients in loss / parameter, lengths in parameter units.
"""

from collections.abc import Mapping
from dataclasses import dataclass

FORMAT = "spectra.report"
SCHEMA = 1


@dataclass(frozen=True)
class LabelStyle:
    """A class, a group of classes or all of them, and how its curves look everywhere.

    Attributes:
        name: as rows name it: ``8``, ``tail``, ``overall``.
        text: as a person reads it: ``class 8``.
        group: ``head``, ``mid`` or ``tail`` where a group's loss says that this class is in it.
        images: training images; None where the results do not say.
        colour: ``#rrggbb``, the same in every figure.
        dash: lengths of dashes and gaps in pixels; empty for a line that is whole.
        marker: ``o``, ``s``, ``^`` ... as matplotlib names it.
    """

    name: str
    text: str
    group: str | None
    images: int | None
    colour: str
    dash: tuple[float, ...]
    marker: str


@dataclass(frozen=True)
class RunStyle:
    """One training (a recipe and a seed), or one network whose recipe is not known.

    Attributes:
        text: what sets it apart from the others: ``ce-drw``, or ``ce-drw, seed 1``.
        recipe: name; None where the checkpoint does not say.
        seed: of the training.
        switch_epoch: after which re-weighting set in; None where it did not, or nothing says so.
        colour: of the run where runs share an axis.
        dash: see :class:`LabelStyle`.
        marker: see :class:`LabelStyle`.
    """

    text: str
    recipe: str | None
    seed: int | None
    switch_epoch: int | None
    colour: str
    dash: tuple[float, ...]
    marker: str


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
        run: place in :attr:`Report.runs`.
        source: place in :attr:`Report.sources`.
        epoch: epochs of training done; None where the checkpoint does not say.
        split: ``train`` or ``test``: the images whose loss it is.
        label: name in :attr:`Report.labels`.
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


@dataclass(frozen=True)
class SharedAxes:
    """One window and one width for all densities of the page.

    Attributes:
        half: the eigenvalue axis runs from -half to half.
        linear: it is linear between -linear and linear, logarithmic beyond.
        floor: where the density axis begins.
        sigma: width of the Gaussian, the largest that PyHessian would take for any of them.
        sigma_least: from which on the slider goes.
        sigma_most: up to which.
    """

    half: float
    linear: float
    floor: float
    sigma: float
    sigma_least: float
    sigma_most: float


@dataclass(frozen=True)
class ComparedRow:
    """One loss under one choice of images.

    Attributes:
        label: ``8``, ``tail``.
        protocol: ``plain``, ``frozen:4``, ``fresh/pyhessian``.
        by_recurrence: the protocol is about what its recurrence says, not about a matrix.
        lambda_min: see :class:`spectra.results.protocol_rows.ProtocolRow`, as all that follows.
        residual_min: likewise.
        lambda_max: likewise.
        ratio: likewise.
        lambda_min_at_most: likewise.
        node_min: likewise.
        node_max: likewise.
        node_ratio: likewise.
        mass_min: likewise.
        alpha_over_beta: likewise.
        grad_norm: likewise.
        verdict: likewise.
    """

    label: str
    protocol: str
    by_recurrence: bool
    lambda_min: float
    residual_min: float | None
    lambda_max: float
    ratio: float | None
    lambda_min_at_most: float | None
    node_min: float | None
    node_max: float | None
    node_ratio: float | None
    mass_min: float | None
    alpha_over_beta: float | None
    grad_norm: float
    verdict: str


@dataclass(frozen=True)
class ComparedProtocols:
    """One checkpoint under several choices of images.

    Attributes:
        text: which checkpoint.
        rows: a loss's protocols beside each other.
    """

    text: str
    rows: tuple[ComparedRow, ...]


@dataclass(frozen=True)
class CarryingImage:
    """An image, and what it adds to an eigenvalue.

    Attributes:
        position: among the images of the split, from 0.
        label: its class.
        predicted: what the network takes it for.
        loss: its loss.
        share: what it adds, over the eigenvalue; the shares of all images add up to 1.
        picture: a PNG as ``data:`` address; None where no picture lies beside the result.
    """

    position: int
    label: int
    predicted: int
    loss: float
    share: float
    picture: str | None


@dataclass(frozen=True)
class ImagesOfLoss:
    """Which images carry λmin, and which λmax, of one loss.

    Attributes:
        text: which checkpoint.
        label: of the loss.
        split: ``train`` or ``test``.
        sentence: what was found, for people.
        lambda_min: eigenvalue that the first images carry.
        lambda_max: eigenvalue that the others carry.
        images: of the loss, in all.
        lowest: those that add most to λmin, the largest share first.
        highest: those that add most to λmax.
    """

    text: str
    label: str
    split: str
    sentence: str
    lambda_min: float
    lambda_max: float
    images: int
    lowest: tuple[CarryingImage, ...]
    highest: tuple[CarryingImage, ...]


@dataclass(frozen=True)
class Source:
    """One analysis: where it stands, and all that it is of.

    Attributes:
        file: name of the file, from the folder that was named on; empty for a result in memory.
        file_digest: SHA-256 of the file; empty likewise.
        checkpoint: name and epoch.
        weights_digest: SHA-256 of the weights; None where not known.
        command: what gives such a result again, but for where the checkpoint lies.
        choices: name and value of each choice: loss, images, device, seed of the solver ...
        training: name and value of all that is known of the training: recipe, seed, data ...
        versions: of the libraries, and the number of threads.
        notes: what the checkpoint's own file warns of.
    """

    file: str
    file_digest: str
    checkpoint: str
    weights_digest: str | None
    command: str
    choices: Mapping[str, str]
    training: Mapping[str, str]
    versions: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class MissingSections:
    """For each section that has nothing to show, the sentence that says which command makes it.

    Attributes:
        densities: None where there are some, as in the other fields.
        trajectories: no run has two checkpoints.
        protocols: no comparison of protocols.
        images: no shares of images.
    """

    densities: str | None
    trajectories: str | None
    protocols: str | None
    images: str | None


@dataclass(frozen=True)
class Report:
    """All that a page shows.

    Attributes:
        title: of the page.
        summary: what is in it, in a sentence.
        function: which function was differentiated, the same in all rows: loss, images, matrix.
        labels: classes from the most images to the fewest, groups after them.
        runs: in the order given.
        rows: by run, epoch, split and label; where two results are of one loss at one checkpoint,
            the one with a density.
        axes: of the densities; None where there are none.
        protocols: comparisons of choices of images.
        images: of some losses.
        sources: of the rows.
        missing: what could be here.
        format: :data:`FORMAT`.
        schema: :data:`SCHEMA`.
    """

    title: str
    summary: str
    function: str
    labels: tuple[LabelStyle, ...]
    runs: tuple[RunStyle, ...]
    rows: tuple[ClassRow, ...]
    axes: SharedAxes | None
    protocols: tuple[ComparedProtocols, ...]
    images: tuple[ImagesOfLoss, ...]
    sources: tuple[Source, ...]
    missing: MissingSections
    format: str = FORMAT
    schema: int = SCHEMA
