"""Where weights come from: data, networks, losses, recipes, training, and files."""

from checkpoints.checkpoint import Checkpoint
from checkpoints.data import DataRequest, ImageData, load_data
from checkpoints.formats.native import save_native
from checkpoints.load import LoadOptions, list_checkpoints, load_checkpoint
from checkpoints.models import Architecture, build_model
from checkpoints.recipes.recipe import RECIPE_NAMES, Recipe, get_recipe, load_recipe
from checkpoints.training.run import TrainingJob, train

__all__ = [
    "RECIPE_NAMES",
    "Architecture",
    "Checkpoint",
    "DataRequest",
    "ImageData",
    "LoadOptions",
    "Recipe",
    "TrainingJob",
    "build_model",
    "get_recipe",
    "list_checkpoints",
    "load_checkpoint",
    "load_data",
    "load_recipe",
    "save_native",
    "train",
]
