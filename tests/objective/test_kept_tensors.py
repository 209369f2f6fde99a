import torch

from spectra.objective.kept_tensors import counted

X = torch.linspace(0, 1, 12, dtype=torch.float64)


def test_what_a_function_keeps_for_its_gradient_is_counted():
    x = X.clone().requires_grad_()
    found = counted(lambda: x.sin())
    assert (found.nbytes, found.numbers) == (8 * 12, 12)


def test_where_what_is_kept_cannot_be_seen_all_that_is_computed_is_counted():
    found = counted(lambda: torch.func.grad(lambda x: x.sin().sum())(X))
    # sin x, its sum, 1 for the sum's gradient, that spread to all entries, cos x and their product.
    assert found.numbers >= 12 + 1 + 12
    assert found.nbytes == 8 * found.numbers
