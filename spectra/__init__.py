"""Per-class Hessian spectra: operators, Lanczos, quadrature, verdicts and result files."""

from spectra._version import __version__
from spectra.active.eigenpairs import solve_extremes
from spectra.engines import EngineResult, PyHessianOperator, SolverSettings
from spectra.engines.analyze_loss import ENGINES, analyze_fresh, analyze_loss
from spectra.errors import InputError, NonFiniteError, OperatorError, SpectraError
from spectra.findings.certificates import Certificate
from spectra.findings.confidence import Band, Interval, density_band, image_bootstrap, negative_mass
from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.product_noise import ProductNoise, product_noise
from spectra.findings.verdict import VERDICTS, Verdict, decide
from spectra.krylov.extremes import Eigenpair, Extremes, extreme_eigenpairs
from spectra.krylov.lanczos import Lanczos, lanczos_tridiag
from spectra.krylov.outer_bounds import TailBounds, bounds
from spectra.krylov.slq import draw_probe, slq
from spectra.krylov.spectrum import Spectrum
from spectra.krylov.tridiagonal import Tridiagonal
from spectra.objective.images import LazyImages
from spectra.objective.per_sample import CrossEntropy, PerSampleLoss
from spectra.operators.class_hessian import class_hessian
from spectra.operators.fresh import FreshOperator
from spectra.operators.hessian import HessianOperator
from spectra.operators.interface import (
    DenseOperator,
    LambdaOperator,
    ScaledOperator,
    SymmetricOperator,
)
from spectra.results.file import Analysis, load_analysis, save_analysis
from spectra.system.seeding import derive_seed, make_generator

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
