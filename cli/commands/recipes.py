"""``spectra recipes``: what can be trained, and with which numbers."""

import click

from checkpoints.recipes.families import FAMILIES, RECIPE_NAMES, get_recipe
from checkpoints.recipes.recipe import Recipe, recipe_fields
from cli.display.lines import print_json, tell
from cli.display.tables import Table, print_table
from cli.display.words import number
from cli.options import shared
from cli.options.completion import recipe_names
from cli.options.flags import command


@command(
    short_help="What can be trained, with which numbers.",
    examples="""
    # all of them
    spectra recipes
    # every field of one, as it is for CIFAR
    spectra recipes ce-drw-sam --family cifar10
    """,
)
@click.argument("name", required=False, shell_complete=recipe_names)
@click.option(
    "--family",
    type=click.Choice(list(FAMILIES)),
    default="digits",
    show_default=True,
    help="Whose hyperparameters; 'train' picks it by the data.",
)
@shared.as_json
def recipes(name: str | None, family: str, as_json: bool) -> None:
    """List the recipes, or every field of recipe NAME."""
    chosen = [get_recipe(n, family) for n in ([name] if name else RECIPE_NAMES)]
    if as_json:
        print_json({"family": family, "recipes": [recipe.to_dict() for recipe in chosen]})
        return
    if name:
        rows = [[key, str(getattr(chosen[0], key))] for key in recipe_fields()]
        print_table(Table(f"{name} ({family})", ["field (--set FIELD=VALUE)", "value"], rows))
    else:
        rows = [
            [r.name, r.loss, r.weighting, r.optimizer, _radius(r),
             str(r.epochs), str(r.batch_size), number(r.lr), number(r.weight_decay), r.head]
            for r in chosen
        ]  # fmt: skip
        print_table(Table(
            f"Recipes with the hyperparameters of {family}",
            ["recipe", "loss", "weighting", "optimizer", "ρ", "epochs", "batch", "lr",
             "weight decay", "head"],
            rows,
            optional=["head", "weight decay", "batch"],
        ))  # fmt: skip
    tell(f"source: {FAMILIES[family].source}")


def _radius(recipe: Recipe) -> str:
    """Return ρ, or the smallest and the largest of its schedule; ``-`` where there is none."""
    steps = sorted(rho for _, rho in recipe.rho_schedule)
    if steps:
        return f"{number(steps[0])}–{number(steps[-1])}"  # a word, which no table breaks
    return number(recipe.rho) if recipe.rho else "-"
