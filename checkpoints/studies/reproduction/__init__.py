"""The paper's tables and figures as named studies, our numbers beside the published ones."""

from checkpoints.studies.published_studies import study_names
from checkpoints.studies.reproduction.description import (
    Reproduction,
    load_reproduction,
    reproduction_data,
)
from checkpoints.studies.reproduction.reproduce import run_reproduction
from checkpoints.studies.reproduction.table import published_rows

__all__ = [
    "Reproduction",
    "load_reproduction",
    "published_rows",
    "reproduction_data",
    "run_reproduction",
    "study_names",
]
