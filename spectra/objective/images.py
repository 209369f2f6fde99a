"""Images that are made when they are asked for, such as views of others, and stored nowhere."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from spectra.errors import InputError


class LazyImages:
    """n images of which only those asked for exist, for :class:`spectra.HessianOperator`.

    Of a network of several inputs each is one of these, in a dictionary or tuple of them. Integers,
    such as token ids, stay integers. Every product makes them again, so making one must be cheap
    beside six forward passes, and must give the same image each time.

    Args:
        make: returns the images at positions, int64 (k,), on ``device``, as (k, ...).
        num_images: n >= 1.
        device: of the positions and of what ``make`` returns.

    Raises:
        InputError: ``num_images`` is not positive.

    Example:
        >>> import torch, spectra
        >>> stored = torch.arange(12).reshape(3, 4).to(torch.uint8)  # a quarter of the floats
        >>> images = spectra.LazyImages(lambda index: stored[index] / 255, len(stored))
        >>> images.shape, images[:2].dtype
        (torch.Size([3, 4]), torch.float32)
    """

    def __init__(
        self,
        make: Callable[[Tensor], Tensor],
        num_images: int,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        if num_images < 1:
            raise InputError(f"num_images must be at least 1, got {num_images}")
        self._make = make
        self._positions = torch.arange(num_images, device=device)
        first = make(self._positions[:1])
        if not isinstance(first, Tensor):
            raise InputError(
                f"make must return one tensor, got {type(first).__name__}; for several inputs give "
                "a dictionary or tuple of LazyImages"
            )
        self._example_shape = first.shape[1:]
        self.device, self.dtype = self._positions.device, first.dtype

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, which: slice | Tensor) -> Tensor:
        """Return the images of a slice, or at positions, int64 (k,)."""
        return self._make(self._positions[which]).to(self.device, self.dtype)

    @property
    def shape(self) -> torch.Size:
        """(n, ...)."""
        return torch.Size((len(self), *self._example_shape))

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def select(self, index: Tensor) -> LazyImages:
        """Return those at positions ``index``, int64 (k,), as lazy as these."""
        part = self._copy()
        part._positions = self._positions[index.to(self._positions.device)]
        return part

    def to(self, device: torch.device, dtype: torch.dtype) -> LazyImages:
        """Return the same images on ``device`` in ``dtype``; they are made where they were.

        Integers and truth values stay what they are.
        """
        moved = self._copy()
        moved.device = torch.device(device)
        if self.dtype.is_floating_point:
            moved.dtype = dtype
        return moved

    def _copy(self) -> LazyImages:
        copy = object.__new__(LazyImages)
        copy.__dict__ |= self.__dict__
        return copy
