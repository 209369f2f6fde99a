"""Ranks that share the images of a loss out find what one process finds."""

from pathlib import Path

import pytest
import torch
from launching import torchrun
from shared_images import everything

from spectra.objective.samples.shares import SharedImages
from spectra.system.ranks import World

# Sums in another order, in float64: measured 1e-15; ends of Lanczos runs 1e-13.
_ROUNDING = 1e-10
_PROGRAM = str(Path(__file__).with_name("shared_images.py"))
# What rounding is measured against is a sum over chunks, which are others on several ranks.
_OF_CHUNKS = {"2 sizes", "50 sizes"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, torch.Tensor]]:
    """Return what 1 process, 2 and 3 ranks have found."""
    folder, kept = tmp_path_factory.mktemp("shared"), {1: everything(World())}
    for size in (2, 3):
        path = folder / f"{size}.pt"
        done = torchrun(size, _PROGRAM, str(path), timeout=120)
        assert done.returncode == 0, done.stderr
        kept[size] = torch.load(path)
    return kept


@pytest.mark.distributed
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_that_share_images_out_find_what_one_process_finds(found, size):
    for name in found[size].keys() - _OF_CHUNKS - {"same on all ranks"}:
        got, wanted = found[size][name], found[1][name]
        assert float((got - wanted).norm()) <= _ROUNDING * float(wanted.norm()), name


@pytest.mark.distributed
@pytest.mark.parametrize("size", [2, 3])
def test_all_ranks_have_the_same_bytes(found, size):
    assert found[size]["same on all ranks"]


class _Images(SharedImages):
    """Images that are nothing but a number of them."""

    def __init__(self, count: int, rank: int) -> None:
        self.labels, self.micro_chunk = torch.zeros(count), 8
        self._world = World(rank, 3)


def test_a_share_of_the_images_is_worked_on_in_its_own_chunks():
    chunks = [list(_Images(50, rank).chunks()) for rank in range(3)]
    assert [(each[0].start, each[-1].stop) for each in chunks] == [(0, 16), (16, 33), (33, 50)]
    assert [(one.start, one.stop) for one in chunks[1]] == [(16, 24), (24, 32), (32, 33)]


def test_a_rank_with_no_image_has_no_chunk():
    assert [len(list(_Images(2, rank).chunks())) for rank in range(3)] == [0, 1, 1]
