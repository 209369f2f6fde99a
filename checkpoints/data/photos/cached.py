"""Photos that were decoded: kept as far as memory allows, and decoded again where it does not."""

import threading
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from checkpoints.data.photos.photos import Photos, checked
from checkpoints.data.photos.workers import PIECE, Workers
from spectra.objective.images import LazyImages

# Ours: images that lie between two that are asked for one after the other, by several threads.
_FAR = 4 * PIECE

Finish = Callable[[Tensor], Tensor]


class CachedPhotos:
    """The images of a split, each decoded once where there is room for it.

    Images that there is no room for are decoded again whenever they are asked for, ahead in the
    order of :meth:`expect`. Several threads may ask.

    Args:
        photos: the split.
        room: bytes of pixels to keep.
        workers: decode; None: as many as there are cores, see :class:`Workers`.
    """

    def __init__(self, photos: Photos, *, room: int, workers: Workers | None = None) -> None:
        self.photos = photos
        self.workers = workers or Workers()
        channels, height, width = photos.shape
        self.most = max(0, room // (channels * height * width))
        self._kept: dict[int, Tensor] = {}
        self._ahead: dict[int, Tensor] = {}
        self._order: list[int] = []
        self._places: dict[int, int] = {}
        self._next = 0
        self._stream: Iterator[tuple[int, Tensor]] = iter(())
        self._lock = threading.RLock()

    def expect(self, index: Tensor) -> int:
        """Say which images will be asked for, and in which order; what fits of them is decoded.

        Others are dropped where there would be no room otherwise.

        Args:
            index: positions in the split, int64 (n,).

        Returns:
            How many of them have no room, and will be decoded whenever they are asked for.

        Raises:
            InputError: an image cannot be decoded.
        """
        with self._lock:
            self._order = index.tolist()
            self._places = {p: i for i, p in enumerate(self._order)}
            missing = [p for p in self._order if p not in self._kept]
            if len(self._kept) + len(missing) > self.most:
                self._kept = {p: x for p, x in self._kept.items() if p in self._places}
            fitting = missing[: max(0, self.most - len(self._kept))]
            self._kept.update(self._decoded(fitting))
            self._next = len(self._order)
            return len(missing) - len(fitting)

    def take(self, positions: Tensor) -> Tensor:
        """Return images at positions in the split, int64 (k,), as uint8 (k, 3, size, size).

        Raises:
            InputError: an image cannot be decoded.
        """
        with self._lock:
            wanted = positions.tolist()
            return torch.stack([self._one(p) for p in wanted])

    def lazily(
        self, index: Tensor, finish: Finish, device: torch.device | str = "cpu"
    ) -> LazyImages:
        """Return images as an operator takes them, made from pixels at every product.

        Args:
            index: positions in the split, int64 (n,).
            finish: normalises uint8 (k, 3, size, size).
            device: where it does so.
        """
        device = torch.device(device)
        made = LazyImages(lambda which: finish(self.take(index[which]).to(device)), len(index))
        return made.to(device, made.dtype)

    def _one(self, position: int) -> Tensor:
        if position in self._kept:
            return self._kept[position]
        if position not in self._ahead:
            place = self._places.get(position)
            if place is None:
                return self.photos.subset(torch.tensor([position])).decoded(self.workers)[0]
            if not self._reach(place):
                order = self._order[place:]
                self._next, self._ahead = place, {}
                self._stream = self._decoded([p for p in order if p not in self._kept])
                self._reach(place)
        return self._ahead.pop(position)

    def _reach(self, place: int) -> bool:
        """Go on with what is decoded ahead as far as ``place`` in the order; say whether it can."""
        if not 0 <= place - self._next <= _FAR:
            return False
        for found, image in self._stream:
            self._ahead[found] = image
            self._next = self._places[found] + 1
            if self._next > place:
                return True
        return False

    def _decoded(self, positions: list[int]) -> Iterator[tuple[int, Tensor]]:
        index = torch.tensor(positions, dtype=torch.int64)
        pieces = checked(self.photos, self.workers.map(self.photos.to_decode(index)))
        found = iter(positions)
        for piece in pieces:
            for image in piece.images:
                # No view of the piece: one of its images would keep all the others.
                yield next(found), image.clone()


def lazily_decoded(
    photos: Photos,
    finish: Finish,
    device: torch.device | str,
    *,
    workers: Workers | None = None,
) -> LazyImages:
    """Return the images of a split, none of which is kept; they are decoded ahead, in order.

    Args:
        photos: the split.
        finish: normalises uint8 (k, 3, size, size).
        device: where it does so.
        workers: decode; None: as many as there are cores, see :class:`Workers`.
    """
    everything = torch.arange(len(photos))
    cached = CachedPhotos(photos, room=0, workers=workers)
    cached.expect(everything)
    return cached.lazily(everything, finish, device)
