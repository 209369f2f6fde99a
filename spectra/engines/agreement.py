"""What ranks that share a loss's images out decide as one, though their memory differs."""

from dataclasses import replace

from spectra.engines.settings import SolverSettings
from spectra.errors import InputError
from spectra.system.ranks import World

# Where vectors lie, by how much memory they take there, the most first.
_STORAGES = ("device", "sharded", "host", "half", "none")


def agreed(
    world: World, settings: SolverSettings, independent: bool
) -> tuple[SolverSettings, bool]:
    """Return what all ranks have room for, of what each of them has.

    A rank that restarts, or measures something that the others leave out, would wait for them in a
    sum that they never come to.

    Args:
        world: the ranks.
        settings: that this rank's memory has room for.
        independent: whether this rank has room for a bootstrap over the images.

    Raises:
        InputError: the engine is PyHessian's, whose products know no other ranks.
    """
    if world.size == 1:
        return settings, independent
    if settings.engine != "spectra":
        raise InputError(
            f"engine {settings.engine} makes its products in one process; take --engine spectra, "
            "or --share losses"
        )
    seen = world.gather(
        (settings.storage, settings.max_basis, settings.bending, settings.stationary, independent)
    )
    storages, rooms, bending, stationary, bootstraps = zip(*seen, strict=True)
    storage = max(storages, key=_STORAGES.index)
    limited = [room for room in rooms if room is not None]
    made = replace(
        settings,
        basis=storage,
        max_basis=min(limited) if limited and storage != "none" else None,
        bending=all(bending),
        stationary=stationary[0] if all(stationary) else False,
    )
    return made, all(bootstraps)
