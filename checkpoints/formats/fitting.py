"""Which of a file's weights are those of a network that somebody named."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from checkpoints.formats.contents import Place, is_average
from spectra.errors import InputError

State = Mapping[str, Tensor]
_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# Linear in a key: none of the words begins with what others may stand before.
_BESIDE = re.compile(
    r"((?<![^\w.])(criterion|loss(es|_fn|_func)?|metrics?|acc(uracy)?|ema)|"
    r"(^|[._])(criteria|confmat|auroc|f1|precision|recall|teacher|centers?|class_weights?|"
    r"pos_weight))([._]|$)|(^|[._])queue(?![^\w.])",
    flags=re.IGNORECASE,
)
_MOST_PREFIXES = 64  # ours: a network, its average and its teacher, each wrapped, come to ten
_SPELLINGS = (
    (r"\.gamma$", ".weight", r"\.beta$", ".bias"),  # layer norms of the first transformers
    (r"(^|\.)weight_g$", r"\1parametrizations.weight.original0",
     r"(^|\.)weight_v$", r"\1parametrizations.weight.original1"),  # weight norm before torch 2.1
)  # fmt: skip


@dataclass(frozen=True)
class Fitted:
    """A network's weights, found in a file.

    Attributes:
        state: under the network's own keys.
        place: of the file.
        notes: what was left aside.
    """

    state: dict[str, Tensor]
    place: Place
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Match:
    """One way to read a file's keys: ``prefix`` + key, or without ``lead`` of the network's."""

    found: dict[str, str]
    missing: list[str]
    wrong: list[str]
    rest: list[str]
    prefix: str

    @property
    def quality(self) -> tuple[int, bool, int]:
        return (
            len(self.missing) + len(self.wrong),
            is_average(self.prefix),
            len(self.rest),
        )


def fit_to_network(places: Sequence[Place], model: nn.Module, name: str) -> Fitted:
    """Find the weights of ``model`` in a file: every one of its keys, with its shape.

    Whatever stands before all of its keys is taken off (``module.``, ``model.``, ``net.backbone.``
    and so on), or added. What lies beside the network is left aside and noted: criteria, metrics,
    teachers. What may belong to the network is not.

    Args:
        places: weights in the file, most likely ones first.
        model: the network.
        name: of it, for messages.

    Raises:
        InputError: keys are missing, have another shape, or are left over; or the file holds the
            network twice.
    """
    wanted = {
        key: value
        for key, value in model.state_dict(keep_vars=True).items()
        if isinstance(value, Tensor) and not is_counter(key)
    }
    ties = _tied(wanted)
    best: tuple[Place, _Match, State] | None = None
    for place in places:
        for state in _spelled(place.state):
            matches = sorted(_matches(wanted, ties, state), key=lambda match: match.quality)
            whole = [m for m in matches if not (m.missing or m.wrong)]
            if whole:
                _refuse_twins(whole, state, name)
                return _taken(place, whole[0], state, ties, name)
            if matches and (best is None or matches[0].quality < best[1].quality):
                best = place, matches[0], state
    if best is None or len(best[1].missing) == len(wanted):
        raise InputError(
            f"none of the weights of {name} ({_few(list(wanted))}) is in the file, which has "
            f"{shown_keys(places[0].state)}; name the network that it was saved from with --arch"
        )
    place, match, state = best
    if (converted := _by_its_own_rules(match, state, model)) is not None:
        return Fitted(converted, place, ())
    raise InputError(_complaint(name, match, state, wanted))


def is_counter(key: str) -> bool:
    """Say whether a buffer counts batches, which networks in eval mode do without."""
    return key.endswith("num_batches_tracked")


def is_beside(key: str) -> bool:
    """Say whether a key is, by its name, one of a criterion, a metric or a teacher."""
    return _BESIDE.search(key) is not None


def shown_keys(state: State) -> str:
    """Return what a file's keys look like: by their first part, with a shape each."""
    groups: dict[str, list[str]] = {}
    for key in state:
        groups.setdefault(key.partition(".")[0], []).append(key)
    shown = []
    for first, keys in list(groups.items())[:5]:
        key = next((k for k in keys if state[k].ndim > 1), keys[0])
        more = f" and {len(keys) - 1} more of {first}.*" if len(keys) > 1 else ""
        shown.append(f"{key} {tuple(state[key].shape)}{more}")
    rest = len(groups) - 5
    return "; ".join(shown) + (f"; and {rest} other groups" if rest > 0 else "")


def _spelled(state: State) -> Iterator[State]:
    """Yield a state as it is, without wrappers in the midst of its keys, and in newer spellings."""
    yield state
    parts = {key: [p for p in key.split(".") if p not in _WRAPPERS] for key in state}
    plain = {".".join(parts[key]): value for key, value in state.items()}
    if len(plain) == len(state) and plain.keys() != state.keys():
        yield plain
    for one, by, other, by_other in _SPELLINGS:
        newer = {re.sub(other, by_other, re.sub(one, by, k)): v for k, v in plain.items()}
        if newer.keys() != plain.keys():
            yield newer


def _tied(wanted: Mapping[str, Tensor]) -> list[list[str]]:
    """Return the groups of keys that lead to one tensor."""
    groups: dict[int, list[str]] = {}
    for key, value in wanted.items():
        groups.setdefault(id(value), []).append(key)
    return [keys for keys in groups.values() if len(keys) > 1]


def _matches(wanted: State, ties: list[list[str]], state: State) -> Iterator[_Match]:
    if not wanted:
        return
    first = next(iter(wanted)).split(".")[:-1]
    leads = [".".join(first[:n]) + "." if n else "" for n in range(len(first) + 1)]
    for lead in [lead for lead in leads if all(key.startswith(lead) for key in wanted)]:
        longest = sorted((key[len(lead) :] for key in wanted), key=len)[-3:]
        prefixes = {
            key[: len(key) - len(one)]
            for one in longest
            for key in state
            if key == one or key.endswith("." + one)
        }
        # Where the network's longest keys all are, first: a file may have any number of others.
        often = sorted(prefixes, key=lambda p: (-sum(p + key in state for key in longest), p))
        for prefix in sorted({*often[:_MOST_PREFIXES], ""}):
            yield _match(wanted, ties, state, lead, prefix)


def _match(wanted: State, ties: list[list[str]], state: State, lead: str, prefix: str) -> _Match:
    ours = {key: prefix + key[len(lead) :] for key in wanted}
    found = {key: theirs for key, theirs in ours.items() if theirs in state}
    for keys in ties:  # saved once
        there = next((key for key in keys if key in found), None)
        found |= {key: found[there] for key in keys if there and key not in found}
    wrong = [
        key
        for key, theirs in found.items()
        if not is_lazy(wanted[key]) and state[theirs].shape != wanted[key].shape
    ]
    used = set(found.values())
    rest = [key for key in state if key not in used and not is_counter(key)]
    return _Match(found, [k for k in wanted if k not in found], wrong, rest, prefix)


def _refuse_twins(matches: list[_Match], state: State, name: str) -> None:
    """Refuse a file in which the network lies twice, with other numbers, and no name tells which.

    Raises:
        InputError: so it is.
    """
    first = matches[0]
    for other in matches[1:]:
        if is_average(other.prefix) or set(other.found.values()) == set(first.found.values()):
            continue
        pairs = ((state[first.found[k]], state[other.found[k]]) for k in first.found)
        if not all(torch.equal(a, b) for a, b in pairs):
            raise InputError(
                f"the weights of {name} are there twice, under {first.prefix or 'no prefix'} and "
                f"{other.prefix or 'no prefix'}; save the one that is meant"
            )


def _taken(
    place: Place,
    match: _Match,
    state: State,
    ties: list[list[str]],
    name: str,
) -> Fitted:
    """Return the weights of a match.

    Raises:
        InputError: something is left over that may belong to the network, or a tie is broken.
    """
    for keys in ties:
        values = {key: state[match.found[key]] for key in keys}
        for key in keys[1:]:
            if not torch.equal(values[key], values[keys[0]]):
                raise InputError(
                    f"{keys[0]} and {key} are one tensor in {name}, and two different ones in the "
                    "file; name the network that it was saved from with --arch"
                )
    foreign = [
        key
        for key in match.rest
        if key.startswith(match.prefix)
        and state[key].is_floating_point()
        and not is_beside(key.removeprefix(match.prefix))
        and not is_average(key.removeprefix(match.prefix).partition(".")[0])
    ]
    if foreign:
        raise InputError(
            f"{name} has no place for {len(foreign)} of the weights in the file "
            f"({_few(foreign, state)}); name the network that it was saved from with --arch, or "
            "save its weights alone"
        )
    notes = []
    if match.prefix and match.prefix.removesuffix(".") not in _WRAPPERS:
        notes.append(f"took the weights of {name} under the prefix {match.prefix}")
    if match.rest:
        notes.append(f"left aside what {name} does not have: {_few(match.rest)}")
    counters = {_counter_of(ours): _counter_of(theirs) for ours, theirs in match.found.items()}
    kept = {ours: state[theirs] for ours, theirs in counters.items() if theirs in state}
    return Fitted({**{k: state[v] for k, v in match.found.items()}, **kept}, place, tuple(notes))


def _counter_of(key: str) -> str:
    return key.rpartition(".")[0] + ".num_batches_tracked"


def _by_its_own_rules(match: _Match, state: State, model: nn.Module) -> dict[str, Tensor] | None:
    """Return the weights as ``model`` itself reads older keys, where it does so strictly."""
    own = {
        key.removeprefix(match.prefix): value
        for key, value in state.items()
        if key.startswith(match.prefix) and not is_beside(key.removeprefix(match.prefix))
    }
    if not own.keys() - model.state_dict().keys():  # no older keys: weights are missing
        return None
    try:
        model.load_state_dict(own)
    except Exception:  # the complaint about the keys says more
        return None
    return {k: v.detach() for k, v in model.state_dict().items() if isinstance(v, Tensor)}


def _complaint(name: str, match: _Match, state: State, wanted: State) -> str:
    """Say what does not fit."""
    told = []
    if match.wrong:
        key = match.wrong[0]
        more = f" and {len(match.wrong) - 1} more" if len(match.wrong) > 1 else ""
        told.append(
            f"{match.found[key]} is {tuple(state[match.found[key]].shape)} in the file and "
            f"{tuple(wanted[key].shape)} in {name}{more}"
        )
    if match.missing:
        told.append(f"the file lacks {len(match.missing)} ({_few(match.missing)})")
        if match.rest:
            told.append(f"it has {len(match.rest)} others ({_few(match.rest)})")
    return (
        f"the weights do not fit {name}: {', '.join(told)}; name the network that they were saved "
        "from with --arch, with its arguments where it has some: FILE.py:NAME(width=32)"
    )


def _few(keys: Sequence[str], state: State | None = None) -> str:
    shown = [f"{k} {tuple(state[k].shape)}" if state is not None else k for k in keys[:4]]
    return ", ".join(shown) + (", ..." if len(keys) > 4 else "")
