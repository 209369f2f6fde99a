"""``spectra export``: stored results to TensorBoard's files, and to one file of arrays."""

from dataclasses import replace

import xarray
from command_line import invoke, refused
from drawn_results import analysis, record_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spectra import load_arrays


def test_every_epoch_of_a_network_is_in_one_run_of_its_name(tmp_path):
    for epoch in (100, 200):
        one = analysis(record_of(None, "8", low=-float(epoch)), epoch=epoch)
        named = replace(one, checkpoint=replace(one.checkpoint, name="mine"))
        named.save(tmp_path / "results" / f"epoch-{epoch:04d}.json")
    board = tmp_path / "board"
    done = invoke("export", tmp_path / "results", "--to", f"tensorboard:{board}")
    assert done.stdout == f"1 network written to tensorboard:{board}: mine-seed0-train\n"
    events = EventAccumulator(str(board / "mine-seed0-train"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("lambda_min/8")] == [
        (100, -100.0), (200, -200.0),
    ]  # fmt: skip


def test_a_place_that_reads_otherwise_is_refused(tmp_path):
    assert "got 'board'" in refused("export", tmp_path, "--to", "board")


def test_a_trajectory_is_written_as_arrays(tmp_path):
    for epoch in (100, 200):
        analysis(record_of(None, "8", low=-float(epoch)), epoch=epoch).save(
            tmp_path / "results" / f"epoch-{epoch:04d}.json"
        )
    npz, netcdf = tmp_path / "found.npz", tmp_path / "found.nc"
    invoke("export", tmp_path / "results", "--to", f"npz:{npz}", "--to", f"netcdf:{netcdf}")
    with xarray.open_dataset(netcdf) as held:
        assert held["lambda_min"].dims == ("epoch", "class")
        assert held["lambda_min"].sel({"class": 8}).values.tolist() == [-100.0, -200.0]
    assert load_arrays(npz).arrays["lambda_min"].values.tolist() == [[-100.0], [-200.0]]


def test_arrays_without_a_file_are_refused(tmp_path):
    analysis(record_of(None, "8")).save(tmp_path / "analysis.json")
    assert "npz:FILE, got 'npz:'" in refused("export", tmp_path, "--to", "npz:")
