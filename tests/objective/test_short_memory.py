"""What an operator does where memory ends."""

import math

import pytest
import torch
from oracles import random_vector
from product_nets import make_net
from torch import nn

from spectra import HessianOperator, InputError, OperatorError
from spectra.findings.sharpness import gauss_newton_form, slopes
from spectra.products.kept import KeptWork


class SmallMemory(nn.Module):
    """A network that runs out of memory on more than so many images at a time."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.net, self.limit = make_net("control-flow-by-value"), limit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.net(x)


IMAGES, LABELS = torch.randn(7, 3, 12, 12), torch.arange(7) % 4


def operator(limit: int, **options) -> HessianOperator:
    model = SmallMemory(100)  # for the comparison of ways, which has no answer to short memory
    op = HessianOperator(model, IMAGES, LABELS, dtype=torch.float64, check=False, **options)
    op.model.limit = limit
    return op


WORK = {
    "product": lambda op: op.matvec(random_vector(op.size, "v")),
    "scaled product": lambda op: op.scaled_products(random_vector(op.size, "v")[None])[0],
    "gradient": lambda op: op.gradient(),
    "loss": lambda op: torch.tensor(op.loss()),
    "accuracy": lambda op: torch.tensor(op.accuracy()),
    "scores": lambda op: op.scores(),
    "curvatures": lambda op: op.curvatures(random_vector(op.size, "v")[None]),
    "slopes": lambda op: slopes(op, random_vector(op.size, "v")),
    "Gauss-Newton form": lambda op: torch.tensor(
        gauss_newton_form(op, random_vector(op.size, "v"))
    ),
}


@pytest.mark.parametrize("what", WORK)
def test_where_memory_ends_smaller_chunks_give_the_same_result(what):
    op = operator(2, micro_chunk=7)
    found = WORK[what](op)
    assert op.micro_chunk == 1  # 7, 3, 1: halves
    # The same sums in pieces of another size.
    torch.testing.assert_close(
        found, WORK[what](operator(7, micro_chunk=7)), rtol=1e-12, atol=1e-13
    )


def test_it_says_with_how_many_images_it_goes_on(caplog):
    operator(3, micro_chunk=6).gradient()
    assert "out of memory on cpu: going on with 3 images at a time" in caplog.text


def test_kept_work_gives_way_where_memory_ends():
    op = operator(7, micro_chunk=4, memory_budget=2**30)
    op.matvec(random_vector(op.size, "v"))
    held, part = op._kept.held, op.over_images(torch.tensor([0, 1]))
    part.matvec(random_vector(op.size, "v"))
    op.model.limit = 2
    op.forget()
    op.matvec(random_vector(op.size, "v"))
    assert op.micro_chunk == 2
    assert part._kept.nbytes == 0
    assert op.memory_budget <= held // 2


def test_one_image_that_does_not_fit_is_one_line():
    with pytest.raises(InputError, match=r"one image does not fit into the memory of cpu"):
        operator(0).gradient()


def test_other_errors_are_not_taken_for_short_memory():
    op = operator(7)
    op.model.net = nn.Linear(3, 3)
    with pytest.raises(OperatorError, match="dtype"):
        op.gradient()


def test_chunks_shrink_until_their_work_fits():
    op = operator(7, micro_chunk=7)
    each = op.chunk_nbytes() // 7
    op.shrink_chunks(math.ceil(2.5 * 7 * each))
    assert op.micro_chunk == 7
    op.shrink_chunks(math.ceil(2.5 * 3 * each))
    assert op.micro_chunk == 3
    op.shrink_chunks(1)
    assert op.micro_chunk == 1


class SharedMemory(nn.Module):
    """A network that runs out of memory where more than so many bytes of work are kept."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.net, self.limit, self.kept = make_net("control-flow-by-value"), limit, None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kept is not None and self.kept.held > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.net(x)

    def __deepcopy__(self, memo: dict) -> "SharedMemory":
        copied = SharedMemory(self.limit)
        copied.kept = self.kept
        return copied


def shared(limit: int) -> tuple[HessianOperator, KeptWork]:
    op = HessianOperator(
        *(SharedMemory(limit), IMAGES, LABELS),
        check=False,
        micro_chunk=1,
        memory_budget=2**30,
        products="double-backward",  # which calls the network at every chunk
    )
    op.model.kept = op._kept
    return op, op._kept


def test_kept_work_gives_way_before_one_image_is_said_not_to_fit():
    whole = shared(2**30)[0]
    v = random_vector(whole.size, "v").float()
    expected = whole.matvec(v)
    limit = whole._kept.held // 2
    op, kept = shared(limit)
    torch.testing.assert_close(op.matvec(v), expected, rtol=0, atol=0)
    assert 0 < kept.held <= limit


def test_kept_work_gives_way_to_a_judgement_in_float64():
    op, kept = shared(2**30)
    v = random_vector(op.size, "v")
    expected = op.matvec(v.float())
    double = op.in_float64()
    double.model.limit = kept.held // 2
    torch.testing.assert_close(double.matvec(v).float(), expected, rtol=1e-4, atol=1e-6)
    assert (kept.held, double._kept.nbytes) == (0, 0)


def test_what_may_be_kept_stays_where_nothing_was_kept_as_memory_ended():
    op = operator(3, micro_chunk=7, memory_budget=2**30)
    op.gradient()
    assert op.memory_budget == 2**30
