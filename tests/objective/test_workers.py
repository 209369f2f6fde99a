import threading

import pytest
import torch

from spectra.objective.workers import default_micro_chunk, map_in_order


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_items(threads):
    done = {i: threading.Event() for i in range(9)}

    def later_ones_first(i: int) -> int:
        if threads > 1 and i % 2 == 0 and i < 8:
            assert done[i + 1].wait(10)
        done[i].set()
        return i

    assert list(map_in_order(later_ones_first, range(9))) == list(range(9))


def test_no_items_give_no_results(threads):
    assert list(map_in_order(str, [])) == []


def test_workers_have_a_single_thread_each(threads):
    assert set(map_in_order(lambda _: torch.get_num_threads(), range(8))) == {1}


def test_workers_stay_on_a_single_thread_when_others_change_the_number(two_threads):
    list(map_in_order(str, range(4)))
    torch.set_num_threads(3)
    torch.set_num_threads(2)
    assert set(map_in_order(lambda _: torch.get_num_threads(), range(8))) == {1}


def test_the_caller_keeps_its_number_of_threads(threads):
    list(map_in_order(lambda _: torch.ones(4).sum(), range(4)))
    assert torch.get_num_threads() == threads


def test_two_items_are_worked_on_at_once(two_threads):
    together = threading.Barrier(2)
    assert sorted(map_in_order(lambda _: together.wait(10), range(2))) == [0, 1]


def test_an_error_reaches_the_caller(threads):
    def fail(i: int) -> int:
        if i == 2:
            raise KeyError("chunk 2")
        return i

    results = map_in_order(fail, range(5))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(KeyError, match="chunk 2"):
        next(results)


def test_at_most_two_items_a_core_are_begun_before_one_is_taken(two_threads):
    begun = []
    results = map_in_order(begun.append, range(20))
    next(results)
    assert len(begun) <= 4


@pytest.mark.parametrize(
    ("shape", "device", "wanted"),
    [
        ((9, 3, 32, 32), "cpu", 32),
        ((9, 3, 32, 32), "cuda", 1024),
        ((9, 1, 8, 8), "cpu", 512),
        ((9, 3, 224, 224), "cpu", 4),
        ((9, 20), "cpu", 1024),
    ],
)
def test_chunks_have_the_pixels_of_32_cifar_images_within_limits(shape, device, wanted):
    assert default_micro_chunk(torch.empty(shape), torch.device(device)) == wanted
