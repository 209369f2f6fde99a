"""How much memory the decoded images of an analysis may take, and what does not fit."""

import logging

import torch
from torch import Tensor

from checkpoints.data.dataset import Labelled
from checkpoints.data.photos.cached import CachedPhotos
from checkpoints.data.photos.photos import Photos
from spectra.engines.memory import default_limit
from spectra.system.allocator import resident_bytes

logger = logging.getLogger(__name__)

# Ours: of what is left of the memory that the process may hold, images may take this part; products
# and the vectors of a Lanczos run get what images leave.
_SHARE = 0.5


def photos_within(
    limit: int | None, split: Labelled, device: torch.device | str
) -> CachedPhotos | None:
    """Return a split whose images lie in files with room for them; None of any other split.

    The pixels lie in the memory of the CPU, as bytes, wherever products are made.

    Args:
        limit: bytes that the process may hold in all, of the device; None: half of what is free.
        split: to be analyzed.
        device: of the products.
    """
    if not isinstance(split, Photos):
        return None
    of_cpu = torch.device(device).type == "cpu" and limit is not None
    limit = limit if of_cpu and limit is not None else default_limit("cpu")
    return CachedPhotos(split, room=max(0, int(_SHARE * (limit - resident_bytes("cpu")))))


def decode_for(photos: CachedPhotos, index: Tensor) -> None:
    """Decode the images of a loss before its products, and say where memory ends.

    Raises:
        InputError: an image cannot be decoded.
    """
    again = photos.expect(index)
    if again:
        logger.warning(
            "%d of %d images have no room in memory and are decoded anew for every product; give "
            "more --memory, or take fewer with --images-per-class",
            again,
            len(index),
        )
