"""Which images a loss is over: plain, augmented and frozen, or drawn anew at every product."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from checkpoints.data.augment import crop_flip, draw_crop_flip
from spectra.errors import InputError
from spectra.objective.images import LazyImages

PLAIN, FROZEN, FRESH = "plain", "frozen", "fresh"
FORMS = "plain, frozen:K, frozen:all or fresh"
# Ours, because CIFAR's crops and flips have 162 views in all, which frozen:all takes.
MAX_DRAWS = 10_000


@dataclass(frozen=True)
class ImageProtocol:
    """A choice of images.

    * ``plain``: as they are.
    * ``frozen:K``: K augmentations of each image, drawn once: a Monte Carlo estimate of the loss
      averaged over augmentations. λmin is concave in the Hessian, so a few draws exaggerate both
      extremes: look at several K.
    * ``frozen:all``: every crop and flip, (2·crop+1)² · 2 views of each image: that average itself.
    * ``fresh``: a new draw at every product, as in the code of Rangwani et al. 2022. There is then
      no Hessian that the numbers belong to.

    Attributes:
        kind: ``plain``, ``frozen`` or ``fresh``.
        draws: K; None with ``frozen``: all views.
        crop: pixels of zero padding before the crop; 0: none.
        flip: whether to flip.
    """

    kind: str = PLAIN
    draws: int | None = None
    crop: int = 4
    flip: bool = True

    @classmethod
    def parse(cls, text: str, *, crop: int = 4, flip: bool = True) -> "ImageProtocol":
        """Read ``plain``, ``frozen:K``, ``frozen:all`` or ``fresh``.

        Raises:
            InputError: it reads otherwise, or there is nothing to augment by.
        """
        kind, _, draws = text.partition(":")
        if text in (PLAIN, FRESH) or (kind == FROZEN and draws == "all"):
            protocol = cls(kind, None, crop, flip)
        elif kind == FROZEN and draws.isdecimal() and len(draws) < 20 and int(draws) >= 1:
            if int(draws) > MAX_DRAWS:
                raise InputError(
                    f"images frozen:K take K up to {MAX_DRAWS}, got {text}; frozen:all takes "
                    "every crop and flip"
                )
            protocol = cls(kind, int(draws), crop, flip)
        else:
            raise InputError(f"images must be {FORMS}, got {text!r}")
        if kind != PLAIN and not (crop or flip):
            raise InputError(
                f"images {text} need an augmentation, but the recipe has neither crops nor flips; "
                "use plain"
            )
        return protocol

    @property
    def name(self) -> str:
        """What :meth:`parse` reads."""
        return f"{self.kind}:{self.draws or 'all'}" if self.kind == FROZEN else self.kind

    @property
    def views(self) -> int:
        """Number of images that stand for each."""
        if self.kind != FROZEN:
            return 1
        return self.draws or (2 * self.crop + 1) ** 2 * (2 if self.flip else 1)

    def frozen(
        self,
        images: Tensor,
        finish: Callable[[Tensor], Tensor],
        generator: torch.Generator,
    ) -> LazyImages:
        """Return the views of each image, one image's beside each other, cut when asked for.

        Args:
            images: uint8 (n, channels, h, w), before normalisation, where views are to be cut.
            finish: normalises views.
            generator: of the draws; not used where nothing is drawn.

        Returns:
            (n · views, channels, h, w); 17 bytes each are stored.
        """
        n, views = len(images), self.views
        if self.draws is None:
            side = 2 * self.crop + 1
            grid = torch.cartesian_prod(
                torch.arange(side), torch.arange(side), torch.arange(2 if self.flip else 1)
            ).repeat(n, 1)
            offsets, flipped = grid[:, :2].T, grid[:, 2].bool()
        else:
            offsets, flipped = draw_crop_flip(
                n * views, padding=self.crop, flip=self.flip, generator=generator
            )
        offsets, flipped = _moved(offsets, flipped, images.device)

        def cut(which: Tensor) -> Tensor:
            source = images[which // views]
            return finish(crop_flip(source, offsets[:, which], flipped[which], padding=self.crop))

        return LazyImages(cut, n * views, device=images.device)

    def draw(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return one random view of each image, where they are; only the draw is moved there."""
        offsets, flipped = draw_crop_flip(
            len(images), padding=self.crop, flip=self.flip, generator=generator
        )
        offsets, flipped = _moved(offsets, flipped, images.device)
        return crop_flip(images, offsets, flipped, padding=self.crop)

    def fresh(
        self,
        images: Tensor,
        finish: Callable[[Tensor], Tensor],
        generator: torch.Generator,
    ) -> Callable[[], Tensor]:
        """Return what draws the images anew at each call.

        Args:
            images: uint8, on the device where the draws are wanted: 24 bytes an image are moved
                there at each call.
            finish: normalises a draw.
            generator: of the draws.
        """
        return lambda: finish(self.draw(images, generator))


def _moved(offsets: Tensor, flipped: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return a draw on ``device``, moved there in one piece."""
    if device.type == "cpu":
        return offsets, flipped
    both = torch.cat([offsets, flipped[None].to(offsets.dtype)]).to(device)
    return both[:2], both[2].bool()
