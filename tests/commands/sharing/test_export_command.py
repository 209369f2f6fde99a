"""``spectra export``: stored results to TensorBoard's files."""

from dataclasses import replace

from command_line import invoke, refused
from drawn_results import analysis, record_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


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
