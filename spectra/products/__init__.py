"""Ways of making Hessian-vector products, and the choice among them."""

from spectra.products.captured import CapturedProducts
from spectra.products.choose import (
    WAYS,
    Choice,
    ExactProduct,
    choose,
    choose_by,
    make_products,
)
from spectra.products.interface import ChunkHessian, Products
from spectra.products.kept import KeptWork
from spectra.products.tuning import Tuning, parse_tuning

__all__ = [
    "WAYS",
    "CapturedProducts",
    "Choice",
    "ChunkHessian",
    "ExactProduct",
    "KeptWork",
    "Products",
    "Tuning",
    "choose",
    "choose_by",
    "make_products",
    "parse_tuning",
]
