"""Ways of making Hessian-vector products, and the choice among them."""

from spectra.products.choose import WAYS, Choice, choose, make_products
from spectra.products.interface import ChunkHessian, Products

__all__ = ["WAYS", "ChunkHessian", "Choice", "Products", "choose", "make_products"]
