"""The errors that spectra raises on purpose; the command line turns each into one line."""

from numbers import Integral, Real


class SpectraError(Exception):
    """Base of every deliberate error of the toolkit."""


class InputError(SpectraError, ValueError):
    """An argument or a file is not what was expected.

    The message says what was expected, what came, and what to do.
    """


class NonFiniteError(SpectraError, ArithmeticError):
    """A loss, a gradient or a Hessian-vector product held NaN or infinity.

    Attributes:
        found: of several losses, a :class:`spectra.Analysis` of those that had numbers; None where
            none had, or a single one was asked for.
    """

    found: object = None


class OperatorError(SpectraError, ValueError):
    """A Hessian operator failed its determinism, symmetry or separability check."""


class UnderflowError(OperatorError):
    """A loss is so small that its gradient and its Hessian are 0 in the precision they are in."""


def first_line(error: BaseException, most: int = 200) -> str:
    """Return the first line of an error's message, cut after ``most`` characters."""
    return " ".join(str(error).strip().partition("\n")[0].split())[:most]


def is_number(value: object) -> bool:
    """Say whether ``value`` is a real number, of Python or of NumPy; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_integer(name: str, value: object) -> None:
    """Raise InputError unless ``value`` is an integer, of Python or of NumPy."""
    if not (isinstance(value, Integral) and is_number(value)):
        raise InputError(f"{name} must be an integer, got {value!r}")


def check_count(name: str, value: object, most: int | None = None) -> None:
    """Raise InputError unless ``value`` is an integer of at least 1, and at most ``most``."""
    if not (
        isinstance(value, Integral) and is_number(value) and 1 <= int(value) <= (most or int(value))
    ):
        wanted = "of at least 1" if most is None else f"in 1..{most}"
        raise InputError(f"{name} must be an integer {wanted}, got {value!r}")
