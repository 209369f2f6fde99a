"""What a shell offers for a word that is begun: names of checkpoints, recipes, studies, classes.

Nothing here imports torch: it runs at every press of the tab key.
"""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from checkpoints.bundled_files import BUNDLED, bundled_runs
from checkpoints.recipes.families import RECIPE_NAMES
from checkpoints.studies.published_studies import study_titles

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

# The words of --classes, beside labels.
CLASS_WORDS = {
    "all": "every class",
    "overall": "all classes together",
    "head": "the classes of most images",
    "mid": "those between",
    "tail": "the classes of fewest images",
}
# The kinds of --data.
SOURCES = (
    "digits", "cifar10", "cifar100", "npz:", "folder:", "imagenet-lt:", "inaturalist18:", "list:",
)  # fmt: skip


def checkpoint_names(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer bundled checkpoints, with their epochs once ``@`` is typed; else files and folders."""
    runs = bundled_runs()
    names = [BUNDLED + name for name in runs]
    if "@" in begun:
        names = [f"{BUNDLED}{name}@{epoch}" for name, epochs in runs.items() for epoch in epochs]
    found = [CompletionItem(name) for name in names if name.startswith(begun)]
    return found or [CompletionItem(begun, type="file")]


def recipe_names(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the recipes; else files, as a recipe may be one."""
    found = [CompletionItem(name) for name in RECIPE_NAMES if name.startswith(begun)]
    return found or [CompletionItem(begun, type="file")]


def published_names(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the studies of the paper, with their titles."""
    titles = study_titles().items()
    return [CompletionItem(name, help=title) for name, title in titles if name.startswith(begun)]


def class_words(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the words for classes, after those that stand before a comma."""
    before, comma, last = begun.rpartition(",")
    return [
        CompletionItem(f"{before}{comma}{word}", help=meaning)
        for word, meaning in CLASS_WORDS.items()
        if word.startswith(last)
    ]


def source_names(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the kinds of data."""
    return [CompletionItem(name) for name in _beginning(SOURCES, begun)]


def _beginning(names: Iterable[str], begun: str) -> list[str]:
    return [name for name in names if name.startswith(begun)]
