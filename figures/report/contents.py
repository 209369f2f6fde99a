"""What the page of a report shows: the document that is embedded in it as JSON.

The page (``page/``) draws what stands here and computes one thing of its own, smoothed densities.
Numbers are rounded to seven digits, what a float32 carries; None where nothing is known.
Eigenvalues are in loss / parameter², gradients in loss / parameter, lengths in parameter units.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from figures.report.contents_of_rows import ClassRow
from figures.report.contents_of_sections import ComparedProtocols, ImagesOfLoss

FORMAT = "spectra.report"
SCHEMA = 1


@dataclass(frozen=True)
class LabelStyle:
    """A class, a group of classes or all of them, and how its curves look everywhere.

    Attributes:
        name: as rows name it: ``8``, ``tail``, ``overall``.
        text: as a person reads it: ``class 8``.
        group: ``head``, ``mid``, ``tail`` ..., where a result says that this class is in it.
        images: training images; None where the results do not say.
        colour: ``#rrggbb``, the same in every figure.
        colour_on_dark: of the same class on a dark page.
        dash: lengths of dashes and gaps in pixels; empty for a line that is whole.
        marker: ``o``, ``s``, ``^`` ... as matplotlib names it.
    """

    name: str
    text: str
    group: str | None
    images: int | None
    colour: str
    colour_on_dark: str
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
        groups: of classes, from the most images to the fewest; empty where no result says them.
        samples: what random samples of classes say of their groups, a sentence each.
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
    groups: tuple[LabelStyle, ...]
    samples: tuple[str, ...]
    runs: tuple[RunStyle, ...]
    rows: tuple[ClassRow, ...]
    axes: SharedAxes | None
    protocols: tuple[ComparedProtocols, ...]
    images: tuple[ImagesOfLoss, ...]
    sources: tuple[Source, ...]
    missing: MissingSections
    format: str = FORMAT
    schema: int = SCHEMA
