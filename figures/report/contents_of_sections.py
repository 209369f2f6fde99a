"""What further commands add to a report: choices of images, and images that carry curvature."""

from dataclasses import dataclass


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
