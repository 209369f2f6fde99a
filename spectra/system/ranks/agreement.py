"""Whether all ranks of a job were given the same: each machine may have files of its own."""

import socket
from collections.abc import Mapping
from typing import Any

from spectra.errors import InputError
from spectra.system.files.sealed_json import digest_of
from spectra.system.ranks.world import World


def check_same(world: World, facts: Mapping[str, Any]) -> None:
    """Raise InputError, on every rank, where one works on something else than rank 0.

    Cost: one gather of a few digests; every rank has to be here.

    Args:
        world: the ranks.
        facts: what has to be the same on all of them, by name, as JSON holds it.
    """
    if world.size == 1:
        return
    digests = {name: digest_of(fact) for name, fact in facts.items()}
    found = world.gather((socket.gethostname(), digests))
    (first, expected), others = found[0], found[1:]
    for rank, (host, given) in enumerate(others, 1):
        differ = [name for name in expected if given.get(name) != expected[name]]
        if differ:
            raise InputError(
                f"rank {rank} (on {host}) has other {' and '.join(differ)} than rank 0 (on "
                f"{first}), or lacks some; give the same files and versions to every machine"
            )
