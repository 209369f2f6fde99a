"""Several processes of one job, as ``torchrun`` starts them; each is called a rank.

``joined``: join the others, and leave them. ``world_here``: which of them this process is.
``World``: what they do together: sums, copies, waiting.
"""

from spectra.system.ranks.joining import joined, world_here
from spectra.system.ranks.world import World

__all__ = ["World", "joined", "world_here"]
