"""Reading a network as steps: as a chain with a small rest, or as whatever graph it is."""

from torch import nn

from spectra.products.reading.chain import read_chain
from spectra.products.reading.graph import read_graph
from spectra.products.reading.trace import Trace
from spectra.products.reading.tracer import traced


def read(model: nn.Module) -> Trace | None:
    """Return ``model``, in eval mode, as steps; None where it cannot be traced.

    >>> found = read(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval())
    >>> [type(step.layer).__name__ for step in found.steps]
    ['LinearMap', 'LinearLayer']
    """
    found = None if model.training else traced(model)
    if found is None:
        return None
    names = {id(p): n for n, p in model.named_parameters() if p.requires_grad}
    return read_chain(*found, names) or read_graph(*found, names)
