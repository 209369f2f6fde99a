"""Per-class Hessian spectra: operators, Lanczos, quadrature, verdicts and result files.

Nothing is imported before its first use: ``import spectra`` brings neither torch nor SciPy.
"""

from typing import TYPE_CHECKING

from spectra._lazy import lazy_names
from spectra._moved import accept_old_modules, renamed
from spectra._version import __version__

accept_old_modules()

if TYPE_CHECKING:
    from spectra.active.extremes_by_active_images import extremes_by_active_images
    from spectra.classes.analyze_classes import analyze_classes
    from spectra.classes.over_training import ClassSpectra
    from spectra.engines.analyze_fresh import analyze_fresh
    from spectra.engines.analyze_loss import analyze_loss
    from spectra.engines.pyhessian import PyHessianOperator
    from spectra.engines.result import EngineResult
    from spectra.engines.settings import ENGINES, SolverSettings
    from spectra.errors import InputError, NonFiniteError, OperatorError, SpectraError
    from spectra.findings.certificates import Certificate
    from spectra.findings.claims.best_steps import BestStep, best_steps
    from spectra.findings.claims.cross_class_means import CrossClassMeans, cross_class_means
    from spectra.findings.claims.negative_share import NegativeShare, negative_share
    from spectra.findings.confidence import image_bootstrap
    from spectra.findings.counted_eigenpairs import counted_eigenpairs
    from spectra.findings.layers import LayerSpectrum, layer_spectra
    from spectra.findings.loss_analysis import LossAnalysis
    from spectra.findings.product_noise import ProductNoise, product_noise
    from spectra.findings.sam.sam_effect import SamEffect
    from spectra.findings.sam.sam_slopes import sam_effects
    from spectra.findings.spectrum_check import SpectrumCheck, check_spectrum
    from spectra.findings.verdict import VERDICTS, Verdict, decide
    from spectra.krylov.extremes import Extremes, extreme_eigenpairs
    from spectra.krylov.lanczos import Lanczos, lanczos_tridiag
    from spectra.krylov.outer_bounds import OuterBounds, outer_bounds
    from spectra.krylov.probes import draw_probe
    from spectra.krylov.quadrature.bands import Band, density_band, rest_band
    from spectra.krylov.quadrature.counts import CountBelow, count_below, negative_mass
    from spectra.krylov.quadrature.hutchinson import trace_interval
    from spectra.krylov.quadrature.intervals import Interval
    from spectra.krylov.quadrature.resolved import ResolvedSpectrum, resolve
    from spectra.krylov.rayleigh_quotients import Eigenpair
    from spectra.krylov.slq import slq
    from spectra.krylov.spectrum import Spectrum
    from spectra.krylov.tridiagonal import Tridiagonal
    from spectra.landscape.bending import Bending
    from spectra.landscape.measure_bending import measure_bending
    from spectra.landscape.network_landscape import Landscape, NetworkLandscape
    from spectra.landscape.search import find_stationary_point
    from spectra.landscape.stationary_point import StationaryPoint
    from spectra.landscape.walk.balance import Balance
    from spectra.objective.images import LazyImages
    from spectra.objective.per_sample import CrossEntropy, PerSampleLoss
    from spectra.operators.class_hessian import class_hessian
    from spectra.operators.diagonal import DiagonalEstimate
    from spectra.operators.fresh import FreshOperator
    from spectra.operators.gauss_newton import GaussNewtonOperator
    from spectra.operators.hessian import HessianOperator
    from spectra.operators.interface import (
        BlockOperator,
        DifferenceOperator,
        ScaledOperator,
        SymmetricOperator,
    )
    from spectra.operators.matrices import DenseOperator, LambdaOperator
    from spectra.results.analysis import Analysis, load_analysis, save_analysis
    from spectra.results.frames.arrays_file import load_arrays, save_arrays
    from spectra.results.frames.labelled import LabelledArrays
    from spectra.results.frames.many_results import to_arrays, to_dataframe, to_xarray
    from spectra.results.provenance import AnalysisProtocol, CheckpointIdentity
    from spectra.results.study_result import StudyResult, load_study_result
    from spectra.results.writers.to_tensorboard import TensorBoardWriter
    from spectra.results.writers.to_wandb import WandbWriter
    from spectra.system.files.limits import raised_limits
    from spectra.system.seeding import derive_seed, make_generator
else:  # tests/test_public_api.py holds the two equal
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "spectra.active.extremes_by_active_images": ["extremes_by_active_images"],
            "spectra.classes.analyze_classes": ["analyze_classes"],
            "spectra.classes.over_training": ["ClassSpectra"],
            "spectra.engines.analyze_fresh": ["analyze_fresh"],
            "spectra.engines.analyze_loss": ["analyze_loss"],
            "spectra.engines.pyhessian": ["PyHessianOperator"],
            "spectra.engines.result": ["EngineResult"],
            "spectra.engines.settings": ["ENGINES", "SolverSettings"],
            "spectra.errors": ["InputError", "NonFiniteError", "OperatorError", "SpectraError"],
            "spectra.findings.certificates": ["Certificate"],
            "spectra.findings.claims.best_steps": ["BestStep", "best_steps"],
            "spectra.findings.claims.cross_class_means": [
                "CrossClassMeans",
                "cross_class_means",
            ],
            "spectra.findings.claims.negative_share": ["NegativeShare", "negative_share"],
            "spectra.findings.confidence": ["image_bootstrap"],
            "spectra.findings.counted_eigenpairs": ["counted_eigenpairs"],
            "spectra.findings.layers": ["LayerSpectrum", "layer_spectra"],
            "spectra.findings.loss_analysis": ["LossAnalysis"],
            "spectra.findings.product_noise": ["ProductNoise", "product_noise"],
            "spectra.findings.sam.sam_effect": ["SamEffect"],
            "spectra.findings.sam.sam_slopes": ["sam_effects"],
            "spectra.findings.spectrum_check": ["SpectrumCheck", "check_spectrum"],
            "spectra.findings.verdict": ["VERDICTS", "Verdict", "decide"],
            "spectra.krylov.extremes": ["Extremes", "extreme_eigenpairs"],
            "spectra.krylov.lanczos": ["Lanczos", "lanczos_tridiag"],
            "spectra.krylov.outer_bounds": ["OuterBounds", "outer_bounds"],
            "spectra.krylov.probes": ["draw_probe"],
            "spectra.krylov.quadrature.bands": ["Band", "density_band", "rest_band"],
            "spectra.krylov.quadrature.counts": ["CountBelow", "count_below", "negative_mass"],
            "spectra.krylov.quadrature.hutchinson": ["trace_interval"],
            "spectra.krylov.quadrature.intervals": ["Interval"],
            "spectra.krylov.quadrature.resolved": ["ResolvedSpectrum", "resolve"],
            "spectra.krylov.rayleigh_quotients": ["Eigenpair"],
            "spectra.krylov.slq": ["slq"],
            "spectra.krylov.spectrum": ["Spectrum"],
            "spectra.krylov.tridiagonal": ["Tridiagonal"],
            "spectra.landscape.bending": ["Bending"],
            "spectra.landscape.measure_bending": ["measure_bending"],
            "spectra.landscape.walk.balance": ["Balance"],
            "spectra.landscape.network_landscape": ["Landscape", "NetworkLandscape"],
            "spectra.landscape.search": ["find_stationary_point"],
            "spectra.landscape.stationary_point": ["StationaryPoint"],
            "spectra.objective.images": ["LazyImages"],
            "spectra.objective.per_sample": ["CrossEntropy", "PerSampleLoss"],
            "spectra.operators.class_hessian": ["class_hessian"],
            "spectra.operators.diagonal": ["DiagonalEstimate"],
            "spectra.operators.fresh": ["FreshOperator"],
            "spectra.operators.gauss_newton": ["GaussNewtonOperator"],
            "spectra.operators.hessian": ["HessianOperator"],
            "spectra.operators.interface": [
                "BlockOperator",
                "DifferenceOperator",
                "ScaledOperator",
                "SymmetricOperator",
            ],
            "spectra.operators.matrices": ["DenseOperator", "LambdaOperator"],
            "spectra.results.analysis": ["Analysis", "load_analysis", "save_analysis"],
            "spectra.results.frames.arrays_file": ["load_arrays", "save_arrays"],
            "spectra.results.frames.labelled": ["LabelledArrays"],
            "spectra.results.frames.many_results": ["to_arrays", "to_dataframe", "to_xarray"],
            "spectra.results.provenance": ["AnalysisProtocol", "CheckpointIdentity"],
            "spectra.results.study_result": ["StudyResult", "load_study_result"],
            "spectra.results.writers.to_tensorboard": ["TensorBoardWriter"],
            "spectra.results.writers.to_wandb": ["WandbWriter"],
            "spectra.system.files.limits": ["raised_limits"],
            "spectra.system.seeding": ["derive_seed", "make_generator"],
        },
    )
    __getattr__ = renamed(__name__, __getattr__)

__all__ = [  # noqa: RUF022 - in the order in which somebody meets them
    # The classes of a model, at once or while it trains
    "analyze_classes",
    "ClassSpectra",
    # The Hessian of some classes, its density and its extreme eigenvalues
    "class_hessian",
    "slq",
    "resolve",
    "extreme_eigenpairs",
    "counted_eigenpairs",
    "layer_spectra",
    # What is found
    "Analysis",
    "LossAnalysis",
    "CheckpointIdentity",
    "AnalysisProtocol",
    "Spectrum",
    "ResolvedSpectrum",
    "Extremes",
    "Eigenpair",
    "LayerSpectrum",
    "Verdict",
    "VERDICTS",
    "Certificate",
    "StationaryPoint",
    "Bending",
    "measure_bending",
    "load_analysis",
    "save_analysis",
    "StudyResult",
    "load_study_result",
    "to_dataframe",
    "to_xarray",
    "to_arrays",
    "save_arrays",
    "load_arrays",
    "LabelledArrays",
    # Where trainings are watched
    "TensorBoardWriter",
    "WandbWriter",
    # What goes wrong
    "SpectraError",
    "InputError",
    "NonFiniteError",
    "OperatorError",
    # One loss at a time
    "analyze_loss",
    "analyze_fresh",
    "find_stationary_point",
    "Landscape",
    "NetworkLandscape",
    "Balance",
    "SolverSettings",
    "ENGINES",
    "EngineResult",
    # Losses and images
    "CrossEntropy",
    "PerSampleLoss",
    "LazyImages",
    # Operators
    "SymmetricOperator",
    "HessianOperator",
    "GaussNewtonOperator",
    "BlockOperator",
    "DifferenceOperator",
    "DiagonalEstimate",
    "FreshOperator",
    "DenseOperator",
    "LambdaOperator",
    "ScaledOperator",
    "PyHessianOperator",
    # Lanczos
    "Lanczos",
    "lanczos_tridiag",
    "Tridiagonal",
    "draw_probe",
    "extremes_by_active_images",
    "OuterBounds",
    "outer_bounds",
    # How sure it is
    "Band",
    "Interval",
    "density_band",
    "rest_band",
    "negative_mass",
    "CountBelow",
    "count_below",
    "trace_interval",
    "image_bootstrap",
    "ProductNoise",
    "product_noise",
    "SpectrumCheck",
    "check_spectrum",
    "decide",
    # SAM along a direction
    "SamEffect",
    "sam_effects",
    # What others have said
    "best_steps",
    "BestStep",
    "negative_share",
    "NegativeShare",
    "cross_class_means",
    "CrossClassMeans",
    # Files that are larger than files most often are
    "raised_limits",
    # Random streams
    "derive_seed",
    "make_generator",
    "__version__",
]
