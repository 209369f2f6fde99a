"""What each image of a loss adds to λmin and to λmax, and its file ``images.json``."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectra.findings.verdict import TAU
from spectra.results.directions.theorem_result import MeasuredAt
from spectra.results.plain import from_plain, read_document, to_plain
from spectra.system.files.writing import write_json
from spectra.system.foreign_text import spreadsheet_cell

FORMAT = "spectra.images"
SCHEMA = 1
LOWEST, HIGHEST = "lowest", "highest"
ENDS = (LOWEST, HIGHEST)
# Ours: what counts as "most of it" in the sentence for people.
MOST = 0.8
# Ours: what the images that bend the other way have to add up to before the sentence names them.
LEAST_SAID = 0.01


@dataclass(frozen=True)
class ImageCurvature:
    """One image, and the curvature of its own loss along v_min and v_max.

    Attributes:
        position: among the images of the split, from 0.
        label: its class.
        predicted: the class of the largest output.
        loss: ℓ_i at w.
        weight: w_i / Σ w over the images of the loss.
        lowest: v_minᵀ∇²ℓ_i v_min, loss / parameter², without the weight.
        highest: v_maxᵀ∇²ℓ_i v_max, likewise without it.
    """

    position: int
    label: int
    predicted: int
    loss: float
    weight: float
    lowest: float
    highest: float

    def curvature(self, end: str) -> float:
        """Return the curvature along the eigenvector of ``lowest`` or ``highest``."""
        return self.lowest if end == LOWEST else self.highest


@dataclass(frozen=True)
class ImageCurvatures:
    """The images of one loss, in the order of the split.

    Attributes:
        label: of the loss: ``8``, ``tail`` ...
        loss: mean loss.
        lambda_min: vᵀHv along v_min, loss / parameter²: the sum of what the images add to it.
        lambda_max: the same along v_max.
        residual_min: ‖Hv − λmin v‖ of the vector that was used.
        residual_max: ‖Hv − λmax v‖.
        images: each of them.
    """

    label: str
    loss: float
    lambda_min: float
    lambda_max: float
    residual_min: float
    residual_max: float
    images: tuple[ImageCurvature, ...]

    def eigenvalue(self, end: str) -> float:
        """Return λmin for ``lowest``, λmax for ``highest``."""
        return self.lambda_min if end == LOWEST else self.lambda_max

    def share(self, image: ImageCurvature, end: str) -> float:
        """Return what an image adds, divided by the eigenvalue; the shares of all add up to 1.

        It is negative where the image bends the other way than the mean. All are 0 where the
        eigenvalue is.
        """
        whole = self.eigenvalue(end)
        return image.weight * image.curvature(end) / whole if whole else 0.0

    def ranked(self, end: str) -> tuple[ImageCurvature, ...]:
        """Return the images, the largest share first; equal shares by position."""
        return tuple(sorted(self.images, key=lambda i: (-self.share(i, end), i.position)))

    def carrying(self, end: str, part: float = MOST) -> tuple[ImageCurvature, ...]:
        """Return the fewest images whose shares add up to ``part`` of all that are positive."""
        ranked = [image for image in self.ranked(end) if self.share(image, end) > 0]
        whole = sum(self.share(image, end) for image in ranked)
        kept, total = [], 0.0
        for image in ranked:
            # To rounding: of equal images half of them are half.
            if total >= part * whole * (1 - 1e-9):
                break
            kept.append(image)
            total += self.share(image, end)
        return tuple(kept)

    @property
    def sentence(self) -> str:
        """Which images carry the negative curvature, and whether they carry λmax, for people."""
        if self.lambda_min >= -TAU * max(self.lambda_max, 0.0):
            return (
                f"{_title(self.label)} has no negative curvature to speak of (λmin "
                f"{self.lambda_min:.3g}, λmax {self.lambda_max:.3g}), so no image carries any."
            )
        carrying, above = self.carrying(LOWEST), self.carrying(HIGHEST)
        first, count = carrying[0], len(carrying)
        share = _part(self.share(first, LOWEST))
        curvature = f"of the negative curvature (λmin {self.lambda_min:.3g})"
        if len(self.images) == 1:
            said = [f"{_title(self.label)}: it has one image, which carries all {curvature}"]
        elif count == 1:
            said = [
                f"{_title(self.label)}: image {first.position} alone carries {share} {curvature}"
            ]
        else:
            said = [
                f"{_title(self.label)}: {count} of {len(self.images)} images carry "
                f"{percent(MOST)} {curvature}, image {first.position} the most with {share}"
            ]
        wrong = sum(image.predicted != image.label for image in carrying)
        if wrong:
            each = f"all {count}" if wrong == count else f"{wrong} of the {count}"
            whole = "it" if count == 1 else each
            said.append(f"the network gets {whole} wrong")
        against = [-self.share(i, LOWEST) for i in self.images if self.share(i, LOWEST) < 0]
        if sum(against) >= LEAST_SAID:
            bend = "bends" if len(against) == 1 else "bend"
            said.append(f"{len(against)} {bend} the other way, by {percent(sum(against))} in all")
        if len(self.images) > 1:
            said.append(self._also_above(carrying, above))
        return "; ".join(said) + "."

    def _also_above(self, below: Sequence[ImageCurvature], above: Sequence[ImageCurvature]) -> str:
        """Say how many of those that carry λmin are among those that carry λmax."""
        both = sum(image in above for image in below)
        if len(below) == 1 == len(above):
            which = f"the same image carries {_part(self.share(above[0], HIGHEST))}"
            return f"{which if both else f'image {above[0].position} carries most'} of λmax"
        among = f"among the {len(above)} that carry {percent(MOST)} of λmax"
        if len(below) == 1:
            return f"it is {'' if both else 'not '}{among}"
        how_many = {0: "none", len(below): "all"}.get(both, str(both))
        return f"{how_many} of these {len(below)} {'is' if both == 1 else 'are'} {among}"


@dataclass(frozen=True)
class ImagesProtocol:
    """What was asked of the images.

    Attributes:
        images: ``plain`` or ``frozen:K``; of views an image's mean.
        split: ``train`` or ``test``.
        loss: as in ``spectra analyze``.
        images_per_class: limit; None: every image.
        parameters: names or globs that the Hessian is by; empty: all.
        given_vectors: whether the vectors came from a file of ``analyze --save-vectors``.
        seed: of every draw.
    """

    images: str
    split: str
    loss: str
    images_per_class: int | None
    parameters: tuple[str, ...]
    given_vectors: bool
    seed: int


@dataclass(frozen=True)
class ImagesResult:
    """Which images carry the curvature of some losses of one checkpoint.

    Attributes:
        checkpoint: at which weights.
        protocol: over which images.
        losses: one each.
    """

    checkpoint: MeasuredAt
    protocol: ImagesProtocol
    losses: tuple[ImageCurvatures, ...]

    def leading(self, count: int) -> list[int]:
        """Return the positions of the ``count`` images that carry most of either end of a loss."""
        return sorted(
            {i.position for one in self.losses for end in ENDS for i in one.ranked(end)[:count]}
        )


def images_to_plain(result: ImagesResult) -> dict[str, Any]:
    """Return the content of ``images.json``, documented in docs/file-formats.md."""
    return {"format": FORMAT, "schema": SCHEMA, **to_plain(result)}


def save_images(path: str | Path, result: ImagesResult) -> None:
    """Write ``images.json`` atomically."""
    write_json(Path(path), images_to_plain(result))


def load_images(path: str | Path) -> ImagesResult:
    """Read an ``images.json``.

    Raises:
        InputError: not JSON, another format, a newer schema, or a value that does not fit.
    """
    plain = read_document(
        Path(path),
        what="an images.json of 'spectra images'",
        format_name=FORMAT,
        newest=SCHEMA,
    )
    return from_plain(plain, ImagesResult, origin=str(path))


def images_to_csv(losses: Sequence[ImageCurvatures]) -> str:
    """Return all images as CSV, those of each loss by their share of λmin, the largest first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["class", "image", "label", "predicted", "loss", "weight", "curvature_min", "share_min",
         "curvature_max", "share_max"]
    )  # fmt: skip
    for one in losses:
        for i in one.ranked(LOWEST):
            low, high = one.share(i, LOWEST), one.share(i, HIGHEST)
            writer.writerow(
                [spreadsheet_cell(one.label), i.position, i.label, i.predicted, i.loss, i.weight,
                 i.lowest, low, i.highest, high]
            )  # fmt: skip
    return out.getvalue()


def percent(share: float) -> str:
    """Return a share in percent as people round it; small ones keep a digit."""
    return f"{100 * share:.0f} %" if abs(share) >= 0.1 else f"{100 * share:.2g} %"


def _part(share: float) -> str:
    """Say a share; one of more than all, which others undo, is all."""
    return "all" if share > 0.995 else percent(share)


def _title(label: str) -> str:
    return f"class {label}" if label.isdigit() else label
