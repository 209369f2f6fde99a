"""Torch's functions as an operator's own copy of a network calls them."""

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.utils.checkpoint as checkpointing
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from spectra.objective.network.equal_formulas import FORMULAS

# What a network casts to for speed, or for more precision than half: the products' own serves both.
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_COMPLEX = (torch.complex64, torch.complex32)
_CASTS = (Tensor.float, Tensor.half, Tensor.bfloat16)
_TYPE_NAMES = {"torch.FloatTensor", "torch.HalfTensor", "torch.BFloat16Tensor"}
_TYPE_NAMES |= {name.replace("torch.", "torch.cuda.") for name in _TYPE_NAMES}
# These read the same bytes as numbers of another type, or only ask about types.
_NOT_CASTS = (Tensor.view, torch.can_cast, torch.promote_types, torch.result_type)
_MAKERS = frozenset({
    torch.zeros, torch.ones, torch.empty, torch.full, torch.eye, torch.arange, torch.linspace,
    torch.logspace, torch.tensor, torch.as_tensor, torch.asarray, torch.scalar_tensor, torch.rand,
    torch.randn, torch.hann_window, torch.hamming_window, torch.blackman_window,
    torch.bartlett_window, torch.kaiser_window, torch.from_numpy, torch.tril_indices,
    torch.triu_indices, torch.randint, torch.randperm, torch.empty_strided, torch.normal,
})  # fmt: skip
# In another precision they draw other numbers from the same seed.
_DRAWS = frozenset({torch.rand, torch.randn, torch.normal})


class OwnCalls(TorchFunctionMode):
    """Inside it, torch's functions compute in one precision, and twice differentiably.

    What a network casts to float32 or less, and what it makes anew, is in ``dtype``, so that
    products in float64 are those of the network in float64; casts to float64 stay. So is what torch
    makes of integers alone, and a constant of another precision (of a closure, of a cache) where
    torch refuses to mix the two. Random numbers are those of the network, converted. Autocast is
    off. Functions without a second derivative are those of :data:`FORMULAS`.

    It holds for the thread that enters it, and for what a network calls itself, not for what torch
    calls in turn.

    Args:
        dtype: float32 or float64.
        device: where tensors are made by functions that are told no device.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.dtype, self.device = dtype, device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``func``, or what stands for it."""
        if torch.is_autocast_enabled(self.device.type):
            torch.set_autocast_enabled(self.device.type, False)
        kwargs = kwargs or {}
        formula = FORMULAS.get(func)
        if formula is not None:
            return formula(*args, **kwargs)
        if func in _CASTS:
            return args[0].to(self.dtype)
        if func in _DRAWS:
            return self._drawn(func, args, kwargs)
        if func in _NOT_CASTS:
            return func(*args, **kwargs)
        args = tuple(self._own_type(value) for value in args)
        if kwargs.get("dtype") is not None:
            kwargs = {**kwargs, "dtype": self._own_type(kwargs["dtype"])}
        if func in _MAKERS:
            return self._made(func, args, kwargs)
        try:
            found = func(*args, **kwargs)
        except RuntimeError:
            mixed = _constants_widened(func, args, kwargs)
            if mixed is None:
                raise
            found = func(*mixed[0], **mixed[1])
        return self._own_default(found, (args, kwargs))

    def _own_type(self, value: Any) -> Any:
        if isinstance(value, torch.dtype):
            if value in _FLOATS:
                return self.dtype
            return self.dtype.to_complex() if value in _COMPLEX else value
        return self.dtype if isinstance(value, str) and value in _TYPE_NAMES else value

    def _own_default(self, found: Any, given: Any) -> Any:
        """Convert what has torch's default type because there are only integers among ``given``."""
        default = torch.get_default_dtype()
        if not isinstance(found, Tensor) or default == self.dtype:
            return found
        if found.dtype == default:
            wanted = self.dtype
        elif found.dtype == default.to_complex():
            wanted = self.dtype.to_complex()
        else:
            return found
        return found if any(map(_is_real_or_complex, tree_leaves(given))) else found.to(wanted)

    def _drawn(self, func: Any, args: Any, kwargs: Any) -> Any:
        if self.device.type != "cpu" and kwargs.get("device") is None:
            generator = kwargs.get("generator")
            device = self.device if generator is None else generator.device
            kwargs = {**kwargs, "device": device}
        drawn = func(*args, **kwargs)
        by_default = kwargs.get("dtype") is None and drawn.dtype == torch.get_default_dtype()
        return drawn.to(self.dtype if by_default else self._own_type(drawn.dtype))

    def _made(self, func: Any, args: Any, kwargs: Any) -> Any:
        if func is torch.from_numpy:
            made = func(*args)
            return made.to(self.device, self._own_type(made.dtype))
        if self.device.type != "cpu" and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": self.device}
        made = func(*args, **kwargs)
        by_default = made.dtype == torch.get_default_dtype()
        wanted = self.dtype if by_default else self._own_type(made.dtype)
        if made.dtype == wanted or kwargs.get("dtype") is not None:
            return made
        return func(*args, **{**kwargs, "dtype": wanted})


def _is_real_or_complex(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def _constants_widened(func: Any, args: Any, kwargs: Any) -> Any:
    """Return the arguments with constants in the widest precision there; None: all have one.

    None too where another tensor has less than that, or one that ``func`` writes into.
    """
    reals = [
        t for t in tree_leaves((args, kwargs)) if _is_real_or_complex(t) and not t.is_complex()
    ]
    if len({t.dtype for t in reals}) < 2:
        return None
    widest = functools.reduce(torch.promote_types, (t.dtype for t in reals))
    narrower = [t for t in reals if t.dtype != widest]
    name = getattr(func, "__name__", "")
    in_place = name.startswith(("__i", "__set")) or (name.endswith("_") and name[-2:] != "__")
    written = [kwargs.get("out"), *(args[:1] if in_place else ())]
    if any(t.requires_grad or any(t is w for w in written) for t in narrower):
        return None
    return tree_map(lambda t: t.to(widest) if any(t is n for n in narrower) else t, (args, kwargs))


def called_as_own(function: Callable[..., Any], *inputs: Any) -> Any:
    """Return ``function`` of the inputs, as the network would call it: see :class:`OwnCalls`.

    The precision is the widest that an input has.
    """
    reals = [v for v in inputs if isinstance(v, Tensor) and v.is_floating_point()]
    if not reals:
        return function(*inputs)
    widest = functools.reduce(torch.promote_types, (value.dtype for value in reals))
    with OwnCalls(widest, reals[0].device):
        return function(*inputs)


_torchs_own = (
    checkpointing.CheckpointFunction,
    checkpointing._checkpoint_without_reentrant_generator,
)


class _PlainFunction:
    """What a reentrant checkpoint calls, without the checkpoint."""

    @staticmethod
    def apply(function: Any, preserve_rng_state: bool, *args: Any) -> Any:
        return function(*args)


def _plain_generator(*args: Any, **kwargs: Any) -> Iterator[None]:
    """Stand around a call of a checkpointed function, and do nothing."""
    yield


class PlainCalls:
    """Inside it, checkpointed and compiled functions are called as what they were made of.

    A reentrant checkpoint refuses ``torch.autograd.grad``, what any checkpoint computes again in
    the backward pass would be computed outside of :class:`OwnCalls`, and what ``torch.compile``
    makes has no second derivative. It holds for the process; several threads may be inside.
    """

    _lock = threading.Lock()
    _inside = 0
    _stance: Any = None

    def __enter__(self) -> None:
        cls = PlainCalls
        with cls._lock:
            cls._inside += 1
            if cls._inside > 1:
                return
            _set_checkpointing(_PlainFunction, _plain_generator)
            if "torch._dynamo" in sys.modules:  # else nothing was compiled
                cls._stance = torch.compiler.set_stance("force_eager")
                cls._stance.__enter__()

    def __exit__(self, *error: object) -> None:
        cls = PlainCalls
        with cls._lock:
            cls._inside -= 1
            if cls._inside:
                return
            _set_checkpointing(*_torchs_own)
            if cls._stance is not None:
                cls._stance.__exit__(None, None, None)
                cls._stance = None


def _set_checkpointing(function: Any, generator: Any) -> None:
    checkpointing.CheckpointFunction = function  # type: ignore[misc]
    checkpointing._checkpoint_without_reentrant_generator = generator
