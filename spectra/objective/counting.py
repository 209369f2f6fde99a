"""Counting what was computed."""

from __future__ import annotations

from dataclasses import dataclass

from spectra.system.progress import work_on_images


@dataclass
class ImageCount:
    """What was computed, in images: the currency of :mod:`spectra` against its peers.

    Attributes:
        forwards: forward passes, a sixth of a product each; one in float64 beside a float32
            operator counts as two.
        products: images times vectors.
        double_products: those in float64 beside a float32 operator, which count twice.
    """

    forwards: int = 0
    products: int = 0
    double_products: int = 0

    @property
    def total(self) -> float:
        """Image products in all."""
        return self.forwards / 6 + self.products + 2 * self.double_products

    def add(self, other: ImageCount) -> None:
        """Count what another one has counted."""
        self.forwards += other.forwards
        self.products += other.products
        self.double_products += other.double_products

    def add_products(self, images: int, *, beside_float32: bool) -> None:
        """Count ``images`` products of one image, in float64 ``beside_float32`` or not."""
        work_on_images(images)
        if beside_float32:
            self.double_products += images
        else:
            self.products += images

    def add_second_derivatives(self, images: int, *, beside_float32: bool) -> None:
        """Count ``images`` second derivatives along a line by tangents, half a product each."""
        self.forwards += 3 * images * (2 if beside_float32 else 1)
