"""Whatever is done again leaves nothing in the process: objects, threads, files or code."""

import gc
import weakref

import pytest
import torch
from held import Held, count_of, left_by
from oracles import build_net
from repeated import ANALYSES, DATA, Untraceable, figures_in, training_in

from spectra import HessianOperator
from spectra.objective.network.own_forward import OwnForward

TIMES = 3


def assert_nothing_is_left(left: Held) -> None:
    # Less than one in each run: what fills a cache at last is no leak.
    assert left.objects < TIMES, left
    assert (left.threads, left.handles, left.sources, left.modules) == (0, 0, 0, 0), left


# What takes longer than the others is left to test_soak.py.
@pytest.mark.parametrize(
    "name", [name for name in ANALYSES if name not in ("vectors", "PyHessian")]
)
def test_an_analysis_leaves_nothing(name):
    assert_nothing_is_left(left_by(ANALYSES[name], times=TIMES))


def test_a_training_leaves_nothing(tmp_path):
    assert_nothing_is_left(left_by(training_in(tmp_path), times=TIMES))


def test_a_figure_that_is_drawn_again_leaves_nothing(tmp_path):
    assert_nothing_is_left(left_by(figures_in(tmp_path)["accuracy.svg"], times=TIMES))


@pytest.mark.parametrize(
    "make", [lambda: build_net("mlp_bn"), Untraceable], ids=["tangent", "double backward"]
)
def test_the_network_of_an_operator_goes_with_it_before_python_looks_for_circles(make):
    gc.disable()
    try:
        operator = HessianOperator(make(), *DATA)
        operator.matvec(torch.ones(operator.size))
        network = weakref.ref(operator.model)
        del operator
        assert network() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ["tangent", "double backward"])
def test_an_analysis_leaves_no_network_to_the_search_for_circles(name):
    ANALYSES[name]()
    gc.collect()
    gc.disable()
    try:
        before = count_of(OwnForward)
        ANALYSES[name]()
        assert count_of(OwnForward) == before
    finally:
        gc.enable()
