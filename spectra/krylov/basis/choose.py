"""A basis by its name, and what it takes of memory."""

from spectra.errors import InputError
from spectra.krylov.basis.device import DeviceBasis
from spectra.krylov.basis.half import HalfBasis
from spectra.krylov.basis.host import HostBasis
from spectra.krylov.basis.interface import Basis
from spectra.krylov.basis.none import NoBasis
from spectra.krylov.basis.sharded import ShardedBasis, sharing_world
from spectra.krylov.defaults import STORAGES
from spectra.operators.interface import SymmetricOperator

# Vectors that ``none`` holds: the last two and the start, which the second pass sets out from.
_NONE_VECTORS = 3


def bytes_per_vector(op: SymmetricOperator, basis: str) -> int:
    """Return what one more vector of ``op`` takes where the operator is, in bytes."""
    if basis == "sharded":
        own = sharing_world(op).share(op.size)
        return (own.stop - own.start) * op.dtype.itemsize
    if basis == "none" or (basis == "host" and op.device.type != "cpu"):
        return 0
    return op.size * (2 if basis == "half" else op.dtype.itemsize)


def fixed_bytes(op: SymmetricOperator, basis: str) -> int:
    """Return what a basis takes where the operator is, however many vectors it has, in bytes."""
    return (
        {"half": 2, "sharded": 2, "none": _NONE_VECTORS}.get(basis, 0) * op.size * op.dtype.itemsize
    )


def make_basis(op: SymmetricOperator, storage: str, capacity: int | None = None) -> Basis:
    """Return an empty basis.

    Args:
        op: what the vectors belong to.
        storage: one of :data:`spectra.krylov.defaults.STORAGES`.
        capacity: how many vectors there will be at most, where that is known; ``device`` and
            ``sharded`` make room for them at once.

    Raises:
        InputError: there is no such storage.
    """
    if storage == "device" and op.makes_basis is not None:
        made: Basis = op.makes_basis(op, capacity)
        return made
    if storage in ("device", "sharded"):
        return (DeviceBasis if storage == "device" else ShardedBasis)(op, capacity)
    kinds: dict[str, type[Basis]] = {"host": HostBasis, "half": HalfBasis, "none": NoBasis}
    if storage not in kinds:
        raise InputError(f"basis must be one of {', '.join(STORAGES)}, got {storage!r}")
    return kinds[storage](op)
