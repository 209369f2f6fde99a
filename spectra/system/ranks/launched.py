"""What the environment says of the processes that a launcher has started."""

from collections.abc import Mapping
from dataclasses import dataclass

from spectra.errors import InputError


@dataclass(frozen=True)
class Launched:
    """One process of several, as ``torchrun`` describes it in the environment.

    Attributes:
        rank: of this process among all.
        size: how many there are.
        local_rank: of this process among those of its machine.
        local_size: how many its machine has.
        address: of the machine where the processes meet.
        port: there.
        meets_at_agent: whether the launcher itself listens there; else rank 0 does.
        attempt: how often the launcher has started these processes before.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int
    meets_at_agent: bool
    attempt: int


def launched(environment: Mapping[str, str]) -> Launched | None:
    """Return what ``torchrun`` says of this process; None where nothing has launched it.

    Raises:
        InputError: the environment says half of it, or what cannot be.

    Example:
        >>> launched({}) is None
        True
        >>> launched({"RANK": "1"})
        Traceback (most recent call last):
        spectra.errors.InputError: RANK is set and WORLD_SIZE is not; start several processes \
with torchrun, which sets both, or unset it
    """
    there = [name for name in ("RANK", "WORLD_SIZE") if environment.get(name)]
    if not there:
        return None
    if len(there) == 1:
        missing = ({"RANK", "WORLD_SIZE"} - {*there}).pop()
        raise InputError(
            f"{there[0]} is set and {missing} is not; start several processes with torchrun, "
            "which sets both, or unset it"
        )
    rank, size = _number(environment, "RANK"), _number(environment, "WORLD_SIZE", least=1)
    local_rank = _number(environment, "LOCAL_RANK", rank)
    local_size = _number(environment, "LOCAL_WORLD_SIZE", size, least=1)
    for name, value, most in (("RANK", rank, size), ("LOCAL_RANK", local_rank, local_size)):
        if value >= most:
            raise InputError(f"{name} is {value}; it must be below the number of processes, {most}")
    if size > 1 and not environment.get("MASTER_ADDR"):
        raise InputError(
            f"WORLD_SIZE is {size} and MASTER_ADDR is not set; start the processes with torchrun"
        )
    return Launched(
        rank,
        size,
        local_rank,
        local_size,
        environment.get("MASTER_ADDR", ""),
        _number(environment, "MASTER_PORT", None if size > 1 else 0),
        environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        _number(environment, "TORCHELASTIC_RESTART_COUNT", 0),
    )


def _number(
    environment: Mapping[str, str], name: str, default: int | None = None, *, least: int = 0
) -> int:
    text = environment.get(name, "")
    if not text and default is not None:
        return default
    if not (text.isdecimal() and len(text) < 10 and int(text) >= least):
        raise InputError(
            f"{name} must be a whole number from {least} on, got {text[:40]!r}; start the "
            "processes with torchrun"
        )
    return int(text)
