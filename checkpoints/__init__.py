"""Where weights come from: data, networks, losses, recipes, training, and files.

Nothing is imported before its first use: ``import checkpoints`` brings no torch.
"""

from typing import TYPE_CHECKING

from spectra._lazy import lazy_names
from spectra._moved import renamed

if TYPE_CHECKING:
    from checkpoints.analysis.analyze import analyze
    from checkpoints.analysis.directions.image_curvatures import measure_images
    from checkpoints.analysis.directions.sam import measure_sam
    from checkpoints.analysis.directions.theorem import measure_theorem
    from checkpoints.analysis.forecasts.forecast import forecast_analysis
    from checkpoints.analysis.request import AnalysisRequest, TheoremRequest
    from checkpoints.checkpoint import Checkpoint
    from checkpoints.claims.best_steps import measure_best_steps
    from checkpoints.claims.class_outliers import measure_class_outliers
    from checkpoints.data import DataRequest, ImageData, load_data
    from checkpoints.formats.native import save_native
    from checkpoints.load import LoadOptions, list_checkpoints, load_checkpoint
    from checkpoints.models import Architecture, build_model
    from checkpoints.recipes.families import RECIPE_NAMES, get_recipe, load_recipe
    from checkpoints.recipes.recipe import Recipe
    from checkpoints.studies.launchers.launcher import Launcher
    from checkpoints.studies.pipeline import run_study
    from checkpoints.studies.study import Study, load_study
    from checkpoints.training.job import TrainingJob
    from checkpoints.training.request import train
else:  # tests/test_public_api.py holds the two equal
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "checkpoints.analysis.analyze": ["analyze"],
            "checkpoints.analysis.directions.image_curvatures": ["measure_images"],
            "checkpoints.analysis.directions.sam": ["measure_sam"],
            "checkpoints.analysis.directions.theorem": ["measure_theorem"],
            "checkpoints.analysis.forecasts.forecast": ["forecast_analysis"],
            "checkpoints.analysis.request": ["AnalysisRequest", "TheoremRequest"],
            "checkpoints.checkpoint": ["Checkpoint"],
            "checkpoints.claims.best_steps": ["measure_best_steps"],
            "checkpoints.claims.class_outliers": ["measure_class_outliers"],
            "checkpoints.data": ["DataRequest", "ImageData", "load_data"],
            "checkpoints.formats.native": ["save_native"],
            "checkpoints.load": ["LoadOptions", "list_checkpoints", "load_checkpoint"],
            "checkpoints.models": ["Architecture", "build_model"],
            "checkpoints.recipes.families": ["RECIPE_NAMES", "get_recipe", "load_recipe"],
            "checkpoints.recipes.recipe": ["Recipe"],
            "checkpoints.studies.launchers.launcher": ["Launcher"],
            "checkpoints.studies.pipeline": ["run_study"],
            "checkpoints.studies.study": ["Study", "load_study"],
            "checkpoints.training.job": ["TrainingJob"],
            "checkpoints.training.request": ["train"],
        },
    )
    __getattr__ = renamed(__name__, __getattr__)

__all__ = [  # noqa: RUF022 - in the order in which somebody meets them
    # Checkpoints that there are
    "load_checkpoint",
    "list_checkpoints",
    "Checkpoint",
    "LoadOptions",
    "save_native",
    # What is found at them
    "analyze",
    "AnalysisRequest",
    "forecast_analysis",
    "measure_images",
    "measure_sam",
    "measure_theorem",
    "TheoremRequest",
    "measure_best_steps",
    "measure_class_outliers",
    "run_study",
    "Study",
    "load_study",
    "Launcher",
    # Data
    "load_data",
    "ImageData",
    "DataRequest",
    # Training new ones
    "train",
    "TrainingJob",
    "Recipe",
    "RECIPE_NAMES",
    "get_recipe",
    "load_recipe",
    # Networks
    "Architecture",
    "build_model",
]
