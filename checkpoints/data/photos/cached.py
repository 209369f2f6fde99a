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
        self.photos, self.room = photos, room
        self.workers = workers or Workers()
        self._beside: CachedPhotos | None = None
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

    def beside(self, photos: Photos) -> "CachedPhotos":
        """Return others with the same room and workers, such as random crops of some of these.

        Those of the call before are dropped, unless they are few: losses of few images are analyzed
        several at once, one of many alone.
        """
        if self._beside is not None and len(self._beside.photos) > _FAR:
            self._beside.drop()
        self._beside = CachedPhotos(photos, room=self.room, workers=self.workers)
        return self._beside

    def drop(self) -> None:
        """Keep nothing; what is asked for from now on is decoded when it is."""
        with self._lock:
            self.most = 0
            self._kept, self._ahead, self._stream = {}, {}, iter(())

    def take(self, positions: Tensor) -> Tensor:
        """Return images at positions in the split, int64 (k,), as uint8 (k, 3, size, size).

        Raises:
            InputError: an image cannot be decoded.
        """
        with self._lock:
            wanted = positions.tolist()
            there = self._kept.keys() | self._ahead.keys()
            if missing := [p for p in dict.fromkeys(wanted) if p not in there]:
                self._fetch(missing)
            images = [self._kept[p] if p in self._kept else self._ahead[p] for p in wanted]
            for p in wanted:
                self._ahead.pop(p, None)
            return torch.stack(images)

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

    def _fetch(self, missing: list[int]) -> None:
        """Decode images; where they come next in the order, those that follow as well."""
        places = [self._places.get(p, -1) for p in missing]
        first, last = places[0], places[-1]
        if not self._in_order(places):
            self._ahead.update(self._decoded(missing))
            self._next, self._stream = last + 1, iter(())
            return
        for anew in (not self._comes_next(first), True):
            if anew:
                order = [p for p in self._order[first:] if p not in self._kept]
                self._next, self._stream = first, self._decoded(order)
            self._advance(last)
            if all(p in self._ahead for p in missing):
                return

    def _in_order(self, places: list[int]) -> bool:
        """Say whether images are asked for in the order that was expected, and not at random."""
        first, last = places[0], places[-1]
        near = first >= 0 and places == sorted(places) and last - first <= _FAR
        return near and (len(places) > 1 or first == 0 or self._comes_next(first))

    def _comes_next(self, place: int) -> bool:
        return 0 <= place - self._next <= _FAR

    def _advance(self, place: int) -> None:
        """Go on with what is decoded ahead as far as ``place`` in the order."""
        while self._next <= place:
            found, image = next(self._stream, (None, None))
            if found is None or image is None:
                return
            self._ahead[found] = image
            self._next = self._places[found] + 1
        while len(self._ahead) > 2 * _FAR:  # of images that were passed over
            del self._ahead[next(iter(self._ahead))]

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
