"""What a forecast of an analysis says, beside what the analysis then takes."""

import time
from dataclasses import replace

import pytest
import torch

import checkpoints.analysis.forecasts.forecast as forecasts
from checkpoints import AnalysisRequest, analyze, forecast_analysis, load_checkpoint, load_data
from spectra import InputError, SolverSettings
from spectra.engines.forecasts.planned_products import planned_products

REFERENCE = "bundled:digits/ce-drw"
FIXED = SolverSettings(num_probes=2, num_steps=3, max_steps=3, bending=False)


@pytest.fixture(scope="module")
def given():
    return load_checkpoint(REFERENCE), load_data()


@pytest.mark.parametrize(
    "options",
    [
        {"solver": FIXED},
        {"solver": replace(FIXED, proof=False)},
        {"solver": FIXED, "gauss_newton": True},
        {"solver": FIXED, "images": "frozen:2"},
        {"solver": FIXED, "images_per_class": 3},
        {"solver": FIXED, "images": "fresh"},
    ],
    ids=["plain", "unproven", "gauss-newton", "views", "some-images", "fresh"],
)
def test_products_that_do_not_hang_on_convergence_are_forecast_exactly(given, options):
    request = AnalysisRequest(classes="9", **options)
    found, used = forecast_analysis(*given, request), analyze(*given, request)
    for loss, record in zip(found.losses, used.records, strict=True):
        planned = loss.products
        assert (loss.label, loss.images) == (record.label, loss.images)
        assert planned.least == planned.usual == planned.most
        # Sums of sixths, up to their rounding.
        assert planned.usual == pytest.approx(record.image_products, rel=1e-12)


def test_products_that_do_lie_between_least_and_most(given):
    request = AnalysisRequest(classes="9", solver=SolverSettings(num_probes=1, num_steps=5))
    planned = forecast_analysis(*given, request).image_products
    (record,) = analyze(*given, request).records
    assert planned.least <= record.image_products <= planned.most


def test_time_grows_with_products_and_images(given):
    def usual(**options):
        return forecast_analysis(*given, AnalysisRequest(**options)).losses[0].seconds.usual

    few = usual(classes="9", solver=SolverSettings(num_probes=1, num_steps=10))
    assert usual(classes="9", solver=SolverSettings(num_probes=8, num_steps=100)) > 4 * few
    assert usual(classes="overall", solver=SolverSettings(num_probes=1, num_steps=10)) > few


def test_a_forecast_leaves_the_network_alone(given):
    before = {name: value.clone() for name, value in given[0].state.items()}
    forecast_analysis(*given, AnalysisRequest(classes="9", solver=FIXED))
    assert all(torch.equal(before[name], value) for name, value in given[0].state.items())


def test_memory_that_holds_no_analysis_is_refused_with_what_to_change(given):
    with pytest.raises(InputError, match=r"limit is .* GiB; raise --memory"):
        forecast_analysis(*given, AnalysisRequest(classes="9", memory=10_000_000))


def test_what_is_not_forecast_is_named(given):
    solver = SolverSettings(num_probes=1, num_steps=4, top=2, per_layer=True)
    found = forecast_analysis(*given, AnalysisRequest(classes="9", solver=solver))
    assert found.left_out == ("--top", "--per-layer")


def test_products_take_a_part_for_the_network_and_a_part_for_each_image(monkeypatch):
    class Some:
        num_images = 1000

    monkeypatch.setattr(forecasts, "_usual_product", lambda op, n: 0.5 + 0.01 * n)
    fixed, an_image = forecasts._measured(Some())
    assert fixed == pytest.approx(0.5)
    assert an_image == pytest.approx(0.01)


@pytest.mark.parametrize(("settings", "products"), [
    ({"num_probes": 3, "num_steps": 7, "max_steps": 7}, 3 * 7 + 6),
    ({"num_probes": 1, "num_steps": 7, "max_steps": 7, "proof": False}, 7 + 2),
    ({"num_probes": 2, "num_steps": 50, "max_steps": 90}, 2 * 20 + 6),
])  # fmt: skip
def test_a_network_of_20_parameters_has_20_steps_at_most(settings, products):
    planned = planned_products(SolverSettings(**settings, bending=False), size=20, images=1000)
    assert planned.least == planned.most == products


@pytest.mark.slow
@pytest.mark.parametrize("probes", [0, 2])
def test_time_is_forecast_within_a_factor_of_three_on_a_quiet_machine(given, probes):
    request = AnalysisRequest(classes="0,tail", solver=SolverSettings(num_probes=probes))
    found = forecast_analysis(*given, request)
    begun = time.perf_counter()
    analyze(*given, request)
    used = time.perf_counter() - begun
    assert found.seconds.usual / 3 < used < found.seconds.usual * 3
