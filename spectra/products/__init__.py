"""Ways of making Hessian-vector products, and the choice among them."""

from spectra.products.captured import CapturedProducts
from spectra.products.choose import WAYS, Choice, choose, make_products
from spectra.products.interface import ChunkHessian, Products
from spectra.products.kept import KeptWork
from spectra.products.tuning import Tuning, parse_tuning

__all__ = [
    "WAYS",
    "CapturedProducts",
    "Choice",
    "ChunkHessian",
    "KeptWork",
    "Products",
    "Tuning",
    "choose",
    "make_products",
    "parse_tuning",
]
