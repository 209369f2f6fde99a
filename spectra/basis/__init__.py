"""Where a Lanczos run keeps its vectors.

``device``: in the operator's dtype, where the operator is. ``host``: in CPU memory, moved a few
vectors at a time. ``half``: in float16, at half or a quarter of the memory. ``none``: not at all.
"""

from spectra.basis.choose import STORAGES, bytes_per_vector, fixed_bytes, make_basis
from spectra.basis.device import DeviceBasis
from spectra.basis.half import HalfBasis
from spectra.basis.host import HostBasis
from spectra.basis.interface import Basis
from spectra.basis.none import NoBasis

__all__ = [
    "STORAGES",
    "Basis",
    "DeviceBasis",
    "HalfBasis",
    "HostBasis",
    "NoBasis",
    "bytes_per_vector",
    "fixed_bytes",
    "make_basis",
]
