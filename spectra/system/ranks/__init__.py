"""Several processes of one job, as ``torchrun`` starts them; each is called a rank.

``joined``: join the others, and leave them. ``world_here``: which of them this process is.
``World``: what they do together: sums, copies, waiting. ``check_same``: were all given the same?
"""

from spectra.system.ranks.agreement import check_same
from spectra.system.ranks.joining import SaidElsewhereError, joined, world_here
from spectra.system.ranks.world import LostRanksError, World

__all__ = ["LostRanksError", "SaidElsewhereError", "World", "check_same", "joined", "world_here"]
