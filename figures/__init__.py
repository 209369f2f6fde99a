"""Pictures and tables of stored results; nothing here computes a Hessian-vector product.

Matplotlib is imported by the functions that draw, not by this package.
"""

from figures.accuracy import class_accuracies, plot_accuracy
from figures.contrast import plot_contrast
from figures.density import density_grid, density_panels, plot_density
from figures.overlaps import plot_overlaps
from figures.protocols import plot_protocols, plot_protocols_over_training
from figures.published import plot_published
from figures.recipes import plot_recipe_table, recipe_table_markdown
from figures.style.colours import house_style, save_figure
from figures.style.comparable import infer_groups, require_comparable
from figures.style.spectral_axes import density_curve
from figures.theorem import plot_theorem
from figures.trajectory import plot_trajectory

__all__ = [
    "class_accuracies",
    "density_curve",
    "density_grid",
    "density_panels",
    "house_style",
    "infer_groups",
    "plot_accuracy",
    "plot_contrast",
    "plot_density",
    "plot_overlaps",
    "plot_protocols",
    "plot_protocols_over_training",
    "plot_published",
    "plot_recipe_table",
    "plot_theorem",
    "plot_trajectory",
    "recipe_table_markdown",
    "require_comparable",
    "save_figure",
]
