"""Images as a person looks at them: pixels from 0 to 1, where the data are pixels."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from checkpoints.data import ImageData
from checkpoints.data.dataset import Labelled, LabelledImages
from checkpoints.data.photos.photos import Photos

# Ours: what is no wider than this is a row of features, not a picture.
_LEAST_SIDE = 4


def thumbnails(
    data: ImageData, split: str, positions: Sequence[int]
) -> dict[int, npt.NDArray[np.float32]]:
    """Return images of a split as pixels from 0 to 1, shape (height, width, 1 or 3), by position.

    Images of 8-bit pixels are shown as they are, before normalisation. Floats that leave [0, 1]
    were normalised by somebody: each is stretched from its smallest to its largest value.

    Args:
        data: whose images.
        split: ``train`` or ``test``.
        positions: of the images in the split.

    Returns:
        Empty where the inputs are no grey or colour images: token ids, rows of features, several
        tensors.
    """
    part: Labelled = data.split(split).subset(torch.tensor(list(positions), dtype=torch.int64))
    if isinstance(part, Photos):
        part = LabelledImages(part.decoded(), part.labels)
    inputs = part.inputs
    if not isinstance(inputs, Tensor) or inputs.ndim != 4 or inputs.shape[1] not in (1, 3):
        return {}
    if min(inputs.shape[2:]) < _LEAST_SIDE or not _holds_pixels(inputs):
        return {}
    pixels = inputs.detach().cpu().float().permute(0, 2, 3, 1)
    if isinstance(part, LabelledImages):
        pixels = (pixels / data.normalisation.scale).clamp(0, 1)
    elif len(pixels) and (float(pixels.min()) < 0 or float(pixels.max()) > 1):
        low, high = pixels.amin((1, 2, 3), True), pixels.amax((1, 2, 3), True)
        pixels = (pixels - low) / (high - low).clamp(min=1e-12)
    return dict(zip(positions, pixels.numpy(), strict=True))


def _holds_pixels(inputs: Tensor) -> bool:
    return inputs.dtype == torch.uint8 or inputs.is_floating_point()
