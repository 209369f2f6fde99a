"""Pictures and tables of stored results; nothing here computes a Hessian-vector product.

Nothing is imported before its first use: ``import figures`` brings no matplotlib.
"""

from typing import TYPE_CHECKING

from spectra._lazy import lazy_names
from spectra._moved import renamed

if TYPE_CHECKING:
    from figures.claims.best_steps import best_steps_pages, plot_best_steps
    from figures.claims.class_outliers import plot_class_outliers
    from figures.claims.negative_share import plot_negative_share
    from figures.density import density_grid, density_pages, density_panels, plot_density
    from figures.directions.image_sheet import plot_image_sheet
    from figures.directions.theorem import plot_theorem, theorem_pages
    from figures.drawing import (
        draw_analysis,
        draw_reproduction,
        draw_trajectories,
    )
    from figures.layers import plot_layers
    from figures.many_classes.by_size import plot_classes_by_size
    from figures.many_classes.over_training import plot_groups_over_training
    from figures.overlaps import plot_overlaps
    from figures.protocol_ratios import plot_protocols, plot_protocols_over_training
    from figures.report.write import write_report
    from figures.studies.accuracy import class_accuracies, plot_accuracy
    from figures.studies.contrast import plot_contrast
    from figures.studies.published import plot_published
    from figures.studies.recipes import plot_recipe_table, recipe_table_markdown
    from figures.studies.whole_study import draw_study
    from figures.style.class_colours import class_colours
    from figures.style.comparable import infer_groups, require_comparable
    from figures.style.saving import save_figure, save_pages
    from figures.style.sheet import house_style
    from figures.style.spectral_axes import density_curve
    from figures.trajectory import plot_trajectory, trajectory_pages
else:  # tests/test_public_api.py holds the two equal
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "figures.studies.accuracy": ["class_accuracies", "plot_accuracy"],
            "figures.claims.best_steps": ["best_steps_pages", "plot_best_steps"],
            "figures.claims.class_outliers": ["plot_class_outliers"],
            "figures.claims.negative_share": ["plot_negative_share"],
            "figures.studies.contrast": ["plot_contrast"],
            "figures.density": ["density_grid", "density_pages", "density_panels", "plot_density"],
            "figures.drawing": [
                "draw_analysis",
                "draw_reproduction",
                "draw_trajectories",
            ],
            "figures.layers": ["plot_layers"],
            "figures.many_classes.by_size": ["plot_classes_by_size"],
            "figures.many_classes.over_training": ["plot_groups_over_training"],
            "figures.overlaps": ["plot_overlaps"],
            "figures.protocol_ratios": ["plot_protocols", "plot_protocols_over_training"],
            "figures.report.write": ["write_report"],
            "figures.studies.published": ["plot_published"],
            "figures.studies.recipes": ["plot_recipe_table", "recipe_table_markdown"],
            "figures.studies.whole_study": ["draw_study"],
            "figures.style.class_colours": ["class_colours"],
            "figures.style.saving": ["save_figure", "save_pages"],
            "figures.style.sheet": ["house_style"],
            "figures.style.comparable": ["infer_groups", "require_comparable"],
            "figures.style.spectral_axes": ["density_curve"],
            "figures.directions.image_sheet": ["plot_image_sheet"],
            "figures.directions.theorem": ["plot_theorem", "theorem_pages"],
            "figures.trajectory": ["plot_trajectory", "trajectory_pages"],
        },
    )
    __getattr__ = renamed(__name__, __getattr__)

__all__ = [  # noqa: RUF022 - in the order in which somebody meets them
    # One page of results, and all figures of a result, into a folder
    "write_report",
    "draw_analysis",
    "draw_trajectories",
    "draw_study",
    "draw_reproduction",
    # Spectra of one checkpoint
    "plot_image_sheet",
    "plot_layers",
    "plot_density",
    "density_grid",
    "density_panels",
    "density_pages",
    "plot_accuracy",
    # Several checkpoints, or recipes
    "plot_trajectory",
    "trajectory_pages",
    "plot_overlaps",
    "plot_contrast",
    "plot_recipe_table",
    "recipe_table_markdown",
    # A thousand classes
    "plot_classes_by_size",
    "plot_groups_over_training",
    # Claims of a paper
    "plot_protocols",
    "plot_protocols_over_training",
    "plot_published",
    "plot_theorem",
    "theorem_pages",
    "plot_best_steps",
    "best_steps_pages",
    "plot_negative_share",
    "plot_class_outliers",
    # What figures are made of
    "class_accuracies",
    "class_colours",
    "density_curve",
    "house_style",
    "infer_groups",
    "require_comparable",
    "save_figure",
    "save_pages",
]
