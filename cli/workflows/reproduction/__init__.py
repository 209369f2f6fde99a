"""The paper's tables and figures as named studies, our numbers beside the published ones."""

from cli.workflows.reproduction.run import ReproductionResult, run_reproduction
from cli.workflows.reproduction.study import (
    SIZES,
    Reproduction,
    load_reproduction,
    reproduction_data,
    study_names,
)
from cli.workflows.reproduction.table import NOT_RUN

__all__ = [
    "NOT_RUN",
    "SIZES",
    "Reproduction",
    "ReproductionResult",
    "load_reproduction",
    "reproduction_data",
    "run_reproduction",
    "study_names",
]
