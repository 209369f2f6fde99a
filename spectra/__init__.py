"""Per-class Hessian spectra: operators, Lanczos, quadrature, verdicts and result files."""

from spectra._version import __version__
from spectra.analysis import ENGINES, LossAnalysis, analyze_loss
from spectra.engines import EngineResult, PyHessianOperator, SolverSettings
from spectra.errors import InputError, NonFiniteError, OperatorError, SpectraError
from spectra.extremes import Eigenpair, Extremes, extreme_eigenpairs
from spectra.hessian import HessianOperator, class_hessian
from spectra.lanczos import Lanczos, Tridiagonal, lanczos_tridiag
from spectra.losses import CrossEntropy, PerSampleLoss
from spectra.operators import DenseOperator, LambdaOperator, ScaledOperator, SymmetricOperator
from spectra.results import Analysis, load_analysis, save_analysis
from spectra.seeding import derive_seed, make_generator
from spectra.slq import draw_probe, slq
from spectra.spectrum import Spectrum
from spectra.verdict import VERDICTS, Verdict, decide

__all__ = [
    "ENGINES",
    "VERDICTS",
    "Analysis",
    "CrossEntropy",
    "DenseOperator",
    "Eigenpair",
    "EngineResult",
    "Extremes",
    "HessianOperator",
    "InputError",
    "LambdaOperator",
    "Lanczos",
    "LossAnalysis",
    "NonFiniteError",
    "OperatorError",
    "PerSampleLoss",
    "PyHessianOperator",
    "ScaledOperator",
    "SolverSettings",
    "SpectraError",
    "Spectrum",
    "SymmetricOperator",
    "Tridiagonal",
    "Verdict",
    "__version__",
    "analyze_loss",
    "class_hessian",
    "decide",
    "derive_seed",
    "draw_probe",
    "extreme_eigenpairs",
    "lanczos_tridiag",
    "load_analysis",
    "make_generator",
    "save_analysis",
    "slq",
]
