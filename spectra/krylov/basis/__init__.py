"""Where a Lanczos run keeps its vectors.

``device``: in the operator's dtype, where the operator is. ``host``: in CPU memory, moved a few
vectors at a time. ``half``: in float16, at half or a quarter of the memory. ``sharded``: in pieces,
one on each rank of a job. ``none``: not at all.
"""

from spectra.krylov.basis.choose import bytes_per_vector, fixed_bytes, make_basis
from spectra.krylov.basis.device import DeviceBasis
from spectra.krylov.basis.half import HalfBasis
from spectra.krylov.basis.host import HostBasis
from spectra.krylov.basis.interface import Basis
from spectra.krylov.basis.none import NoBasis
from spectra.krylov.basis.sharded import ShardedBasis

__all__ = [
    "Basis",
    "DeviceBasis",
    "HalfBasis",
    "HostBasis",
    "NoBasis",
    "ShardedBasis",
    "bytes_per_vector",
    "fixed_bytes",
    "make_basis",
]
