"""TensorBoard's event files, read back with TensorBoard's own reader."""

import sys

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from spectra import ClassSpectra, InputError, TensorBoardWriter
from spectra.results.writers.open_writers import writing_to
from spectra.results.writers.values import EpochValues


def read(folder) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    return events


def test_an_event_file_holds_every_number_and_density_at_its_epoch(found, tmp_path):
    with TensorBoardWriter(tmp_path) as writer:
        writer.write(found)
    values, events = EpochValues.of(found), read(tmp_path)
    assert set(events.Tags()["scalars"]) == set(values.numbers)
    assert events.Tags()["histograms"] == ["density/8"]
    for tag, number in values.numbers.items():
        (event,) = events.Scalars(tag)
        assert event.step == 200
        assert event.value == np.float32(number)
    histogram = events.Histograms("density/8")[0].histogram_value
    # 50 eigenvalues whose sum is the trace, up to the rounding of some float64 sums.
    assert histogram.num == pytest.approx(50, rel=1e-13)
    assert histogram.sum == pytest.approx(values.densities["density/8"].total, rel=1e-13)
    assert sum(histogram.bucket) == pytest.approx(50, rel=1e-13)


def test_a_summary_writer_of_ones_own_is_written_to_and_stays_open(found, tmp_path):
    with SummaryWriter(str(tmp_path)) as own:
        with TensorBoardWriter(own) as writer:
            writer.write(found)
        own.add_scalar("mine", 1.0, global_step=0)
    assert {"mine", "ratio/8"} <= set(read(tmp_path).Tags()["scalars"])


def test_a_recorder_writes_what_it_records(tmp_path):
    data = torch.linspace(-1, 1, 24).view(6, 4), [0, 1, 2, 0, 1, 2]
    model = torch.nn.Linear(4, 3)
    with TensorBoardWriter(tmp_path) as writer:
        recorder = ClassSpectra(data, classes=[2], num_steps=3, writers=[writer])
        for epoch in range(1, 11):
            recorder.record(model, epoch)
    events = read(tmp_path)
    assert [event.step for event in events.Scalars("lambda_min/2")] == [5, 10]
    assert events.Scalars("lambda_min/2")[0].value == np.float32(
        recorder.analyses[0].record(2).lambda_min
    )


def test_a_run_on_a_command_line_has_a_folder_of_its_name(found, tmp_path):
    with writing_to([f"tensorboard:{tmp_path}"], "my run") as writer:
        writer.write(found)
    (folder,) = tmp_path.iterdir()
    assert "ratio/tail" in read(folder).Tags()["scalars"]


def test_without_tensorboard_it_is_refused_in_a_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"pip install hessian-spectra\[tensorboard\]"):
        TensorBoardWriter(tmp_path)
