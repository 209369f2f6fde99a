"""Per-class Hessian spectra: operators, Lanczos, quadrature, verdicts and result files."""

from spectra._version import __version__
from spectra.active import solve_extremes
from spectra.analysis import ENGINES, analyze_fresh, analyze_loss
from spectra.bands import Band, Interval, density_band, image_bootstrap, negative_mass
from spectra.certificates import Certificate
from spectra.engines import EngineResult, PyHessianOperator, SolverSettings
from spectra.errors import InputError, NonFiniteError, OperatorError, SpectraError
from spectra.extremes import Eigenpair, Extremes, extreme_eigenpairs
from spectra.fresh import FreshOperator, ProductNoise, product_noise
from spectra.hessian import HessianOperator
from spectra.images import LazyImages
from spectra.lanczos import Lanczos, lanczos_tridiag
from spectra.loss_analysis import LossAnalysis
from spectra.losses import CrossEntropy, PerSampleLoss
from spectra.lower_bound import TailBounds, bounds
from spectra.operators import DenseOperator, LambdaOperator, ScaledOperator, SymmetricOperator
from spectra.per_class import class_hessian
from spectra.results import Analysis, load_analysis, save_analysis
from spectra.seeding import derive_seed, make_generator
from spectra.slq import draw_probe, slq
from spectra.spectrum import Spectrum
from spectra.tridiagonal import Tridiagonal
from spectra.verdict import VERDICTS, Verdict, decide

__all__ = [
    "ENGINES",
    "VERDICTS",
    "Analysis",
    "Band",
    "Certificate",
    "CrossEntropy",
    "DenseOperator",
    "Eigenpair",
    "EngineResult",
    "Extremes",
    "FreshOperator",
    "HessianOperator",
    "InputError",
    "Interval",
    "LambdaOperator",
    "Lanczos",
    "LazyImages",
    "LossAnalysis",
    "NonFiniteError",
    "OperatorError",
    "PerSampleLoss",
    "ProductNoise",
    "PyHessianOperator",
    "ScaledOperator",
    "SolverSettings",
    "SpectraError",
    "Spectrum",
    "SymmetricOperator",
    "TailBounds",
    "Tridiagonal",
    "Verdict",
    "__version__",
    "analyze_fresh",
    "analyze_loss",
    "bounds",
    "class_hessian",
    "decide",
    "density_band",
    "derive_seed",
    "draw_probe",
    "extreme_eigenpairs",
    "image_bootstrap",
    "lanczos_tridiag",
    "load_analysis",
    "make_generator",
    "negative_mass",
    "product_noise",
    "save_analysis",
    "slq",
    "solve_extremes",
]
