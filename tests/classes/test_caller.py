import random

import numpy as np
import pytest
import torch
from torch import nn

from spectra import InputError
from spectra.classes.caller import (
    caller_left_alone,
    computing_device,
    random_state_kept,
    room_for_images,
)


def draw() -> list[float]:
    return [random.random(), float(np.random.random()), float(torch.rand(1))]


def test_random_numbers_go_on_as_if_none_had_been_drawn():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = [draw(), draw()]
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    found = [draw()]
    with random_state_kept(5):
        draw()
    assert [*found, draw()] == expected


def test_the_seed_and_every_name_decide_what_is_drawn_inside():
    def inside(*names):
        with random_state_kept(*names):
            return draw()

    assert inside(0, "a") == inside(0, "a")
    assert len({tuple(inside(*names)) for names in [(0, "a"), (0, "b"), (1, "a")]}) == 3


def test_the_random_state_is_put_back_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), random_state_kept(5):
        raise RuntimeError
    assert torch.equal(torch.get_rng_state(), before)


def test_derivatives_can_be_taken_wherever_the_caller_is():
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), caller_left_alone():
        w = torch.ones(2, 2, requires_grad=True)
        (w @ w).sum().backward()
        assert w.grad is not None
        assert (w @ w).dtype == torch.float32


def test_work_is_done_where_the_model_is_unless_told_otherwise():
    assert computing_device(nn.Linear(2, 2, device="meta"), None).type == "meta"
    assert computing_device(nn.Linear(2, 2, device="meta"), "cpu").type == "cpu"
    assert computing_device(nn.Flatten(), None).type == "cpu"


def test_images_on_another_device_than_the_cpu_are_where_work_is_done():
    elsewhere = torch.zeros(1, device="meta")  # stands for a card
    assert computing_device(nn.Linear(2, 2), None, elsewhere).type == "meta"
    assert computing_device(nn.Linear(2, 2), "cpu", elsewhere).type == "cpu"
    assert computing_device(nn.Linear(2, 2, device="meta"), None, torch.zeros(1)).type == "meta"


def test_a_model_on_two_devices_is_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta"))
    with pytest.raises(InputError, match="parameters are on cpu and meta; move it, or give dev"):
        computing_device(model, None)


def test_no_room_is_left_where_more_is_taken_already():
    assert room_for_images(torch.device("cpu"), 1) == 0
    assert room_for_images(torch.device("cpu"), None) > 0


def test_a_named_stream_is_the_same_in_every_library_that_draws():
    drawn = []
    for names in (("data",), ("data",), ("other",)):
        with random_state_kept(5, *names):
            drawn.append(draw())
    assert drawn[0] == drawn[1]
    assert all(one != other for one, other in zip(drawn[0], drawn[2], strict=True))
