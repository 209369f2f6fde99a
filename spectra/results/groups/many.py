"""From how many losses on a result is shown as a whole, and no longer loss by loss."""

from collections.abc import Sized

# Ours: CIFAR-100's classes and its groups are shown one by one as before; a thousand rows, panels
# or curves are read by nobody. Files of more hold their records by column, see
# :mod:`spectra.results.stored.by_column`.
MANY = 200


def are_many(losses: Sized) -> bool:
    """Say whether tables, figures and files show so many losses as a whole."""
    return len(losses) > MANY
