"""What a run is going to take of memory, in its parts."""

from dataclasses import dataclass

_GIB = 2**30


@dataclass(frozen=True)
class MemoryForecast:
    """What a run is going to take, in bytes of CPU memory, or of the card's where it runs on one.

    Attributes:
        resident: taken already: libraries, network, images.
        working: by the chunks in work at once.
        basis: by the Lanczos vectors, as many as are wanted or fit.
        judging: by the float64 pass that follows, when the Lanczos vectors are gone; 0 without one.
        kept: left for primal work that is kept between products; 0 or more.
        limit: what may be taken in all.
        max_basis: Lanczos vectors that fit when no primal work is kept; those wanted where they
            all do.
        following: by what follows that pass, as far as there is room for it.
        storage: where the Lanczos vectors are kept.
    """

    resident: int
    working: int
    basis: int
    kept: int
    limit: int
    max_basis: int
    judging: int = 0
    following: int = 0
    storage: str = "device"

    @property
    def total(self) -> int:
        """Bytes in all, at most ``limit``."""
        in_turn = max(self.working + self.basis, self.judging, self.following)
        return self.resident + in_turn + self.kept

    def describe(self) -> str:
        """Return one line for people."""
        return (
            f"{in_gib(self.resident)} resident + {in_gib(self.working)} working + "
            f"{in_gib(self.basis)} basis ({self.max_basis} vectors)"
            f"{f', or {in_gib(self.judging)} judging,' if self.judging else ''} "
            f"+ {in_gib(self.kept)} kept work "
            f"= {in_gib(self.total)} of {in_gib(self.limit)} GiB"
        )


def in_gib(count: int) -> str:
    """Return bytes as GiB, three digits of them."""
    return f"{count / _GIB:.3g}"
