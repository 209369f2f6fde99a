"""Ways of making Hessian-vector products, and the choice among them."""

from spectra.products.captured import CapturedProducts
from spectra.products.choose import WAYS, Choice, choose, make_products
from spectra.products.interface import ChunkHessian, Products
from spectra.products.kept import KeptWork
from spectra.products.tuning import Tuning, parse_tuning
from spectra.system.exact import exact_products

__all__ = [
    "WAYS",
    "CapturedProducts",
    "Choice",
    "ChunkHessian",
    "KeptWork",
    "Products",
    "Tuning",
    "choose",
    "exact_products",
    "make_products",
    "parse_tuning",
]
