"""Engines: different ways to the same quadrature, behind one signature."""

from spectra.engines.own import run_spectra
from spectra.engines.pyhessian import PyHessianOperator, run_pyhessian
from spectra.engines.settings import EngineResult, SolverSettings

__all__ = ["EngineResult", "PyHessianOperator", "SolverSettings", "run_pyhessian", "run_spectra"]
