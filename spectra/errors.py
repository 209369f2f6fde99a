"""The errors that spectra raises on purpose; the command line turns each into one line."""


class SpectraError(Exception):
    """Base of every deliberate error of the toolkit."""


class InputError(SpectraError, ValueError):
    """An argument or a file is not what was expected.

    The message says what was expected, what came, and what to do.
    """


class NonFiniteError(SpectraError, ArithmeticError):
    """A loss, a gradient or a Hessian-vector product held NaN or infinity."""


class OperatorError(SpectraError, ValueError):
    """A Hessian operator failed its determinism, symmetry or separability check."""
