"""Going on with a run in another execution than it was begun in."""

import json

import pytest
import torch
from click.testing import CliRunner
from tiny_trainings import Killed, digests, kill_after, tiny_job, tiny_recipe

from checkpoints import load_checkpoint
from checkpoints.formats.native import RESUME_KEY
from checkpoints.training.epochs_by_execution import ComputedEpochs, computed_note, go_on
from checkpoints.training.execution import EXACT, Execution
from checkpoints.training.job import state_path
from checkpoints.training.resume import load_state
from checkpoints.training.run import train_job
from cli.main import cli
from spectra import InputError

BFLOAT16 = Execution("bfloat16")
BOTH = Execution("bfloat16", channels_last=True)


def begun(folder, execution, epochs=2, **fields):
    with pytest.raises(Killed):
        train_job(tiny_job(folder, execution=execution, **fields), on_progress=kill_after(epochs))


def test_a_run_goes_on_in_another_execution_where_that_is_asked_for(tmp_path, caplog):
    begun(tmp_path, BFLOAT16, keep_epochs=(1, 4))
    with pytest.raises(InputError, match=r"another execution; add --other-execution to go on"):
        train_job(tiny_job(tmp_path, keep_epochs=(1, 4)), resume=True)
    kept = train_job(tiny_job(tmp_path, keep_epochs=(1, 4)), resume=True, other_execution=True)
    notes = [load_checkpoint(path).notes for path in kept]
    assert notes == [
        ("trained in bfloat16",),
        ("epochs 1-2 bfloat16 on cpu; 3-4 float32 on cpu",),
        ("epochs 1-2 bfloat16 on cpu; 3-5 float32 on cpu",),
    ]
    assert "epochs up to 2: bfloat16 on cpu; from now on: float32 on cpu" in caplog.text


def test_a_run_that_went_on_otherwise_is_resumed_by_its_new_command_to_the_same_bytes(tmp_path):
    for name in ("at once", "killed"):
        begun(tmp_path / name, BOTH)
        job = tiny_job(tmp_path / name)
        options = {"resume": True, "other_execution": True}
        if name == "killed":
            with pytest.raises(Killed):
                train_job(job, on_progress=kill_after(4), **options)
            options.pop("other_execution")
        train_job(job, **options)
    assert digests(tmp_path / "at once") == digests(tmp_path / "killed")


def test_only_the_execution_may_be_another_one(tmp_path):
    begun(tmp_path, EXACT)
    with pytest.raises(InputError, match="holds a run with another seed; choose another -o"):
        train_job(tiny_job(tmp_path, seed=1), resume=True, other_execution=True)


def test_a_mixed_run_leaves_no_state_for_others_at_the_switch(tmp_path):
    recipe, shared = tiny_recipe("ce-drw"), tmp_path / "shared"
    begun(tmp_path / "a", BOTH, recipe=recipe, shared=shared, keep_epochs=())
    job = tiny_job(tmp_path / "a", recipe, shared=shared, keep_epochs=())
    train_job(job, resume=True, other_execution=True)
    assert not shared.exists()


def test_a_state_of_an_earlier_version_goes_on_without_a_claim_about_its_device(tmp_path):
    import safetensors.torch
    from safetensors import safe_open

    begun(tmp_path, EXACT)
    path = state_path(tmp_path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[RESUME_KEY])
    del header["sha256"], header["kept"], header["identity"]["test_data"]
    assert header.pop("computed") == [{"first": 1, "execution": None, "device": "cpu"}]
    tensors = safetensors.torch.load(path.read_bytes())
    path.write_bytes(safetensors.torch.save(tensors, {RESUME_KEY: json.dumps(header)}))
    state = load_state(path, expected=tiny_job(tmp_path).identity())
    assert state.computed == (ComputedEpochs(1, None, None),)
    kept = train_job(tiny_job(tmp_path), resume=True)
    assert load_checkpoint(kept[-1]).notes == ()


def test_another_device_is_another_way_though_the_execution_is_the_same():
    captured = Execution(channels_last=True, captured=True)
    on_card = go_on((), 0, captured, "cuda")
    assert go_on(on_card, 5, captured, "cuda") == on_card
    mixed = go_on(on_card, 176, EXACT, "cpu")
    assert computed_note(mixed, 176) is None
    assert computed_note(mixed, 200) == (
        "epochs 1-176 channels-last, captured on cuda; 177-200 float32 on cpu"
    )


def test_another_number_of_processes_is_another_way():
    two = go_on((), 0, EXACT, "cpu", ranks=2, batch_norm="shard")
    assert go_on(two, 3, EXACT, "cpu", ranks=2, batch_norm="shard") == two
    assert computed_note(two, 3) == "trained by 2 processes, batch norm over each one's images"
    mixed = go_on(two, 3, EXACT, "cpu")
    assert computed_note(mixed, 5) == (
        "epochs 1-3 float32 on cpu by 2 processes, batch norm over each one's images; "
        "4-5 float32 on cpu"
    )


def test_a_way_in_which_no_epoch_was_done_is_not_said():
    entries = go_on(go_on((), 0, EXACT, "cuda"), 0, EXACT, "cpu")
    assert entries == (ComputedEpochs(1, None, "cpu"),)


def test_the_command_goes_on_in_another_precision(tmp_path):
    def train(*words):
        common = ["train", "ce", "--n-max", "40", "--set", "batch_size=64", "-o", str(tmp_path)]
        return CliRunner().invoke(cli, [*common, *words])

    assert train("--epochs", "1", "--other-execution").exit_code == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("checkpoints.training.trainer.Trainer.validate", stop_at_the_second())
        assert train("--epochs", "2", "--precision", "bfloat16").exit_code != 0
    refused = train("--epochs", "2", "--resume")
    assert refused.exit_code == 2
    assert "add --other-execution to go on" in refused.output
    found = train("--epochs", "2", "--resume", "--other-execution")
    assert found.exit_code == 0, found.output
    (note,) = load_checkpoint(tmp_path).notes
    assert note == "epochs 1-1 bfloat16 on cpu; 2-2 float32 on cpu"


def stop_at_the_second():
    calls = []

    def validate(self):
        calls.append(torch.get_num_threads())
        if len(calls) == 2:
            raise InputError("enough")
        return None

    return validate
