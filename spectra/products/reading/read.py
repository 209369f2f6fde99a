"""Reading a network as steps: as a chain with a small rest, or as whatever graph it is."""

from torch import nn

from spectra.products.reading.chain import read_chain
from spectra.products.reading.graph import read_graph
from spectra.products.reading.trace import Trace
from spectra.products.reading.tracer import traced


def read(model: nn.Module, *, trains_rest: bool = True) -> Trace | None:
    """Return ``model``, in eval mode, as steps; None where it cannot be traced.

    Args:
        model: the network.
        trains_rest: whether what follows a chain may have trained parameters; else they are of
            steps like all others.

    >>> found = read(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval())
    >>> [type(step.layer).__name__ for step in found.steps]
    ['LinearMap', 'LinearLayer']
    """
    found = None if model.training else traced(model)
    if found is None:
        return None
    names = {id(p): n for n, p in model.named_parameters() if p.requires_grad}
    chain = read_chain(*found, names)
    if chain is not None and (trains_rest or not chain.rest_names):
        return chain
    return read_graph(*found, names)
