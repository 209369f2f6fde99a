"""``--log-to`` of the commands that train and that follow a training."""

from command_line import invoke, refused
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def steps(folder, tag: str) -> list[int]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.step for event in events.Scalars(tag)]


def test_train_and_trajectory_log_every_epoch_that_they_come_to(tmp_path):
    run, board = tmp_path / "mine", tmp_path / "board"
    log = ["--log-to", f"tensorboard:{board}"]
    small = ["--n-max", "12", "--imbalance-factor", "0.5", "--epochs", "2", "--keep", "1,2"]
    trained = invoke("train", "ce", *small, "-o", run, *log)
    assert trained.exit_code == 0, trained.output
    assert steps(board / "mine", "train/loss") == [1, 2]
    assert steps(board / "mine", "accuracy/9") == [1, 2]
    followed = invoke(
        "trajectory", run, "--classes", "9", "--max-steps", "4", "-o", tmp_path / "along", *log
    )
    assert followed.exit_code == 0, followed.output
    assert steps(board / "mine", "lambda_min/9") == [1, 2]
    assert f"tensorboard:{board}" in followed.stdout


def test_a_place_that_reads_otherwise_is_refused_before_any_work(tmp_path):
    said = refused("train", "ce", "-o", tmp_path / "mine", "--log-to", "board")
    assert "tensorboard:DIR or wandb:PROJECT, got 'board'" in said
    assert not (tmp_path / "mine").exists()
