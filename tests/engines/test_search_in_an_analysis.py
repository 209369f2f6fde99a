"""The search for a stationary point as a part of an analysis."""

from dataclasses import replace

import pytest
import torch
from oracles import QuadraticNet, first_output, images_and_labels

from checkpoints import AnalysisRequest, analyze
from spectra import (
    HessianOperator,
    InputError,
    SolverSettings,
    Verdict,
    analyze_classes,
    analyze_loss,
    load_analysis,
    save_analysis,
)

DOUBLE = torch.float64


def quadratic(eigenvalues: list[float], slope: list[float], **options):
    """Analyze ½ Σ λ x² + slope·x at x = 0, with a search."""
    zero, images = torch.zeros(len(slope), dtype=DOUBLE), images_and_labels(4)
    matrix = torch.diag(torch.tensor(eigenvalues, dtype=DOUBLE))
    net = QuadraticNet(matrix, zero, torch.tensor(slope, dtype=DOUBLE))
    op = HessianOperator(net, *images, loss=first_output, dtype=DOUBLE)
    settings = SolverSettings(num_probes=0, stationary=True)
    return analyze_loss(op, label="1", classes=(1,), settings=settings, radius=0.1, **options)


def test_a_saddle_beside_the_weights_is_found_and_how_far_it_is():
    found = quadratic([100.0, -1.0, 0.5], [1.0, 0.0, 0.0])
    assert (found.stationary.name, found.verdict.name) == ("saddle", "negative curvature")
    # x = -1/100; the distance is an upper bound.
    assert found.stationary.distance == pytest.approx(0.01, rel=0.5)
    assert found.stationary.search_radius == 0.5  # five times r


def test_a_minimum_that_is_far_away_is_not_near():
    found = quadratic([100.0, 1e-6, 1.0], [0.0, 0.009, 0.0])  # 9,000 away
    assert found.stationary.name not in ("saddle", "minimum")


def test_a_factor_scales_the_losses_of_the_search_and_not_its_name():
    one, other = (quadratic([4.0, -1.0], [0.1, 0.0], factor=f) for f in (1.0, 8.0))
    assert other.stationary == one.stationary.scaled(8.0)
    assert other.stationary.name == "saddle"


def test_nothing_is_searched_for_where_nobody_asks(net):
    op = HessianOperator(net.model, net.images, net.labels)
    settings = SolverSettings(num_probes=0)
    assert analyze_loss(op, label="1", classes=(1,), settings=settings).stationary is None


def test_the_training_objective_is_searched_by_default(tmp_path):
    few = {"num_probes": 0, "max_steps": 5, "search_products": 1}
    request = AnalysisRequest(
        loss="objective", images_per_class=2, solver=SolverSettings(**few, search_radius=0.2)
    )
    said = []
    found = analyze(
        "bundled:digits/ce-drw",
        request=request,
        units=tmp_path,
        on_progress=lambda what, *_: said.append(what),
    )
    stationary = found.records[0].stationary
    assert stationary.search_radius == 0.2
    assert "class objective stationary point" in said
    assert load_analysis(tmp_path / "objective.json").records[0].stationary == stationary
    again = analyze("bundled:digits/ce-drw", request=request, units=tmp_path)
    assert again.records[0].stationary == stationary
    without = AnalysisRequest(loss="objective", solver=SolverSettings(**few, stationary=False))
    assert without.solver.stationary is False


def test_from_python_it_takes_a_model_and_its_weight_decay(net):
    options = {"num_probes": 0, "weight_decay": 0.1, "stationary": True, "dtype": DOUBLE}
    found = analyze_classes(net.model, (net.images, net.labels), "overall", **options)
    assert found.records[0].stationary is not None
    assert found.protocol.weight_decay == 0.1
    with pytest.raises(InputError, match="part of the loss of classes 'overall', got 1"):
        analyze_classes(net.model, (net.images, net.labels), 1, **options)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), "far"])
def test_the_radius_of_the_search_must_be_positive(value):
    with pytest.raises(InputError, match="search_radius must be positive"):
        SolverSettings(search_radius=value)


def test_what_has_no_hessian_has_no_search():
    searching = SolverSettings(stationary=True)
    with pytest.raises(InputError, match="no stationary point"):
        AnalysisRequest(images="fresh", solver=searching)
    with pytest.raises(InputError, match="searched for with the Hessian"):
        AnalysisRequest(gauss_newton=True, solver=searching)
    with pytest.raises(InputError, match="searches for no stationary point"):
        SolverSettings(engine="pyhessian", stationary=True)


def test_what_was_kept_under_an_earlier_rule_is_computed_again(tmp_path):
    request = AnalysisRequest(classes="9", solver=SolverSettings(num_probes=0, max_steps=3))
    found = analyze("bundled:digits/ce-drw", request=request, units=tmp_path)
    earlier = replace(found.records[0], verdict=Verdict("saddle", "ρ* <= r", 0.1, 1e-3, 0.05))
    save_analysis(tmp_path / "9.json", replace(found, records=(earlier,)))
    again = analyze("bundled:digits/ce-drw", request=request, units=tmp_path)
    assert again.records[0].verdict == found.records[0].verdict
