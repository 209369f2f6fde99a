"""``spectra doctor CHECKPOINT``: the forecast, and what it says is slow."""

import json
from dataclasses import replace

import pytest
from command_line import invoke, refused

from checkpoints.analysis.forecasts.forecast import AnalysisForecast, Faster, LossForecast, Seconds
from cli.display.forecasts import forecast_lines, forecast_table, troubles_of
from spectra.engines.forecasts.planned_products import PlannedProducts

GIB = 2**30


@pytest.fixture
def forecast():
    loss = LossForecast("8", 50, PlannedProducts(5e3, 6e3, 7e3), Seconds(30, 90, 7200))
    return AnalysisForecast(
        losses=(loss, replace(loss, label="9")),
        parameters=464154,
        device="cpu",
        threads=2,
        products="tangent",
        slow_because="",
        seconds_a_product=0.0125,
        building=10.0,
        memory=GIB,
        memory_limit=2 * GIB,
        keeps_all=True,
        faster=(Faster("--num-probes 0", 20.0),),
        left_out=("--top",),
    )


def test_the_forecast_of_a_checkpoint_takes_the_options_of_an_analysis():
    options = ["--class", "9", "--num-probes", "1", "--num-steps", "4", "--max-steps", "4"]
    done = invoke("doctor", "bundled:digits/ce-drw", *options, "--no-bending", "--json")
    (loss,) = json.loads(done.stdout)["forecast"]["losses"]
    assert (loss["label"], loss["images"]) == ("9", 6)
    assert loss["products"]["least"] == loss["products"]["most"]


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path):
    assert "no checkpoint at" in refused("doctor", tmp_path / "nothing")


def test_the_table_has_a_line_for_each_loss(forecast):
    table = forecast_table("mine", forecast)
    assert table.rows[0] == ["8", "50", "6,000", "5,000 to 7,000", "2 min"]
    assert [row[0] for row in table.rows] == ["8", "9"]


def test_the_lines_say_time_memory_what_was_measured_and_what_is_faster(forecast):
    assert forecast_lines(forecast) == [
        "time: 3 min (1 min at least, 4 h 0 min at most)",
        "memory: 1 GiB of the 2 GiB that --memory allows; all of the work is kept between products",
        "measured: 12.5 ms a product and image on cpu with 2 threads, 464,154 parameters, by "
        "tangent",
        "not in this forecast: what --top would add",
        "--num-probes 0 would take 20 s",
    ]


def test_slow_products_and_too_little_memory_are_troubles_with_what_to_do(forecast):
    assert troubles_of(forecast) == []
    slow, short = troubles_of(
        replace(forecast, slow_because="torch.fx does not trace it", keeps_all=False)
    )
    assert "double backward, the slow way (torch.fx does not trace it)" in slow.what
    assert "docs/foreign-models.md" in slow.mend
    assert "raise --memory" in short.mend
