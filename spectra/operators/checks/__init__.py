"""What is checked of a Hessian operator as it is built; each error names the likely cause."""

from spectra.operators.checks.as_given import check_as_given
from spectra.operators.checks.derivatives import check_derivatives
from spectra.operators.checks.differences import Derivatives
from spectra.operators.checks.few_images import FewImages
from spectra.operators.checks.losses import check_losses, check_separable, say_what_is_frozen
from spectra.operators.checks.own_precision import check_products

__all__ = [
    "Derivatives",
    "FewImages",
    "check_as_given",
    "check_derivatives",
    "check_losses",
    "check_products",
    "check_separable",
    "say_what_is_frozen",
]
