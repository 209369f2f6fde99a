import pytest
import torch
from step_problems import Line, classified, cross_entropy, softmax_net
from torch import Tensor

from checkpoints.training.steps.cc_sam import CCSAM
from checkpoints.training.steps.interface import Batch
from spectra import InputError, make_generator


def test_cc_sam_is_the_sum_over_classes_each_with_its_own_step_of_the_classifier():
    model, (x, y, w) = softmax_net(), classified()
    parameters = list(model.parameters())
    CCSAM(parameters, model=model, rho=0.3, scales=[1.0, 2.0, 3.0]).fill(
        Batch(model, x, y, w, cross_entropy), make_generator(0)
    )
    expected = [torch.zeros_like(p) for p in parameters]
    for c in range(3):
        mine = y == c

        def loss(mine: Tensor = mine) -> Tensor:
            return (w[mine] * cross_entropy(model(x[mine]), y[mine])).sum() / w.sum()

        head = parameters[2:]
        g = torch.autograd.grad(loss(), head)
        size = torch.cat([t.flatten() for t in g]).norm()
        kept = [p.detach().clone() for p in head]
        with torch.no_grad():
            for p, t in zip(head, g, strict=True):
                p += 0.3 * (c + 1) * t / size
        for total, t in zip(expected, torch.autograd.grad(loss(), parameters), strict=True):
            total += t
        with torch.no_grad():
            for p, k in zip(head, kept, strict=True):
                p.copy_(k)
    for p, e in zip(parameters, expected, strict=True):
        # The rule adds 1e-12 to every norm.
        torch.testing.assert_close(p.grad, e, rtol=1e-10, atol=1e-11)


def test_cc_sam_needs_a_classifier():
    with pytest.raises(InputError, match="linear or cosine classifier"):
        CCSAM([], model=Line(), rho=0.1, scales=[1.0])
