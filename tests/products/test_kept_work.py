"""Work that is kept between products, and chunks on several threads, change no byte."""

import pytest
import torch
from oracles import random_vector
from product_nets import (
    TANGENT,
    make_net,
    operator,
)

from spectra.products import WAYS

DOUBLE = torch.float64


EACH_WAY = pytest.mark.parametrize("way", WAYS)


@EACH_WAY
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_kept_primal_work_changes_no_byte(way, dtype):
    model = make_net("option-b")
    ops = [operator(model, products=way, dtype=dtype, memory_budget=b) for b in (0, 2**40)]
    for name in "uv":  # the second product uses what the first one kept
        v = random_vector(ops[0].size, name, dtype=dtype)
        assert torch.equal(*(op.matvec(v) for op in ops))


@pytest.mark.parametrize(
    ("way", "name"),
    [(way, name) for way in WAYS for name in sorted(TANGENT)],
)
def test_a_product_leaves_the_next_one_as_it_was(way, name):
    op = operator(name, products=way, micro_chunk=7)
    u, v = (random_vector(op.size, name) for name in "uv")
    before = op.matvec(v)
    op.matvec(u)
    assert torch.equal(op.matvec(v), before)


def test_strided_1x1_convolutions_of_few_channels_write_nowhere_else():
    # oneDNN 3.12 wrote past its memory and ended the process within a few products.
    op = operator("strided-1x1", dtype=torch.float32, products="tangent", micro_chunk=7)
    v = random_vector(op.size, "v", dtype=torch.float32)
    before = op.matvec(v)
    for _ in range(100):
        torch.randn(50)
        assert torch.equal(op.matvec(v), before)


def test_kept_memory_stays_within_the_budget_and_is_counted():
    ops = [operator("option-a", memory_budget=b, micro_chunk=1) for b in (0, 200_000, 2**30)]
    for op in ops:
        op.matvec(random_vector(op.size, "v"))
    used = [op._kept.nbytes for op in ops]
    assert used[0] == 0 < used[1] <= 200_000 < used[2]


def test_forgetting_kept_work_changes_no_byte():
    op = operator("activations")
    v = random_vector(op.size, "v")
    before = op.matvec(v)
    op.forget()
    assert torch.equal(op.matvec(v), before)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("micro_chunk", [3, 7], ids=["three chunks", "one chunk"])
@pytest.mark.parametrize("name", ["option-a", "cosine-head", "view-by-size"])
def test_bytes_do_not_depend_on_the_number_of_threads(threads, name, micro_chunk):
    found = []
    for count in (1, 2):
        threads(count)
        op = operator(name, dtype=torch.float32, micro_chunk=micro_chunk)
        assert op.choice.name == "tangent"
        product = op.matvec(random_vector(op.size, "v", dtype=torch.float32))
        found.append(torch.cat([product.double(), op.gradient(), op.scores().double()]))
        found[-1] = torch.cat([found[-1], torch.tensor([op.loss()], dtype=DOUBLE)])
    assert torch.equal(*found)
