"""Engines: different ways to the same quadrature, behind one signature."""

from spectra.engines.fresh import fresh_density
from spectra.engines.own import run_spectra
from spectra.engines.pyhessian import PyHessianOperator, run_pyhessian
from spectra.engines.settings import EngineResult, SolverSettings

__all__ = [
    "EngineResult",
    "PyHessianOperator",
    "SolverSettings",
    "fresh_density",
    "run_pyhessian",
    "run_spectra",
]
