"""The paper's tables and figures as named studies, our numbers beside the published ones."""

from checkpoints.studies.reproduction.description import (
    Reproduction,
    load_reproduction,
    reproduction_data,
    study_names,
)
from checkpoints.studies.reproduction.reproduce import ReproductionResult, run_reproduction
from checkpoints.studies.reproduction.table import NOT_RUN

__all__ = [
    "NOT_RUN",
    "Reproduction",
    "ReproductionResult",
    "load_reproduction",
    "reproduction_data",
    "run_reproduction",
    "study_names",
]
