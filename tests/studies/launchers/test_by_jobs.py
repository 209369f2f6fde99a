"""A study by jobs: which are handed out, waited for, and said to have failed."""

import contextlib
import pickle
from pathlib import Path

import pytest

from checkpoints.studies.launchers import by_jobs
from checkpoints.studies.launchers.launcher import Launcher
from checkpoints.studies.pipeline import run_study
from checkpoints.studies.steps import Step
from spectra.errors import InputError

pytestmark = pytest.mark.distributed

LOCAL = Launcher("local", at_once=2)


class Strange:
    """Where it is unpickled it leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


class Queue:
    """Does jobs as they come, but for some that it loses or holds."""

    name = "local"
    look = patience = 0.0

    def __init__(self, at_once=None):
        self.at_once, self.steps = at_once, []
        self.lost, self.held, self.left = set(), {}, []

    def at(self, logs):
        self.starts_in(logs)
        return self

    def starts_in(self, logs):
        pass

    def submit(self, tasks):
        numbers = []
        for task in tasks:
            self.steps.append(task.step)
            numbers.append(str(len(self.steps)))
            if self.held is not None and task.step and task.step.recipe in self.held:
                self.held[task.step.recipe] = task
            elif task.step not in self.lost:
                with contextlib.suppress(InputError):
                    task()
        return numbers

    def alive(self, jobs):
        return {job for job in jobs if self.held and self.steps[int(job) - 1].recipe in self.held}

    def log(self, job):
        return Path(f"{job}.err")

    def state(self, job):
        return "OUT_OF_MEMORY"

    def leave(self, jobs):
        self.left = sorted(jobs)
        return "they go on"

    def close(self):
        self.closed = True


@pytest.fixture
def queue(monkeypatch):
    queue = Queue()
    monkeypatch.setattr(by_jobs, "LocalQueue", lambda _, logs, **__: queue.at(logs))
    monkeypatch.setattr(by_jobs, "_LOOK", 0.0)
    return queue


def kinds(queue):
    return [step and f"{step.kind} {step.recipe}" for step in queue.steps]


def test_jobs_leave_the_bytes_of_a_study_that_ran_alone(study, tmp_path, queue, alone):
    said = []
    run_study(study, tmp_path, launcher=LOCAL, on_progress=lambda *one: said.append(one))
    assert (tmp_path / "results.json").read_bytes() == alone
    assert kinds(queue) == [
        "training ce-drw",
        "training ce",
        "analyses ce-drw",
        "analyses ce",
        None,
    ]
    assert (said[0], said[-1]) == (
        ("jobs (2 handed out)", 0, 5),
        ("jobs (1 handed out)", 4, 5),
    )


def test_a_step_that_fails_is_named_others_go_on_and_the_same_command_does_it(
    study, tmp_path, queue, alone, caplog
):
    (tmp_path / "training").mkdir()
    in_the_way = tmp_path / "training" / "ce-drw-seed0"
    in_the_way.touch()
    with pytest.raises(InputError, match=r"1 job failed: training of ce-drw-seed0, and 1 that"):
        run_study(study, tmp_path, launcher=LOCAL)
    assert "training of ce-drw-seed0, job 1, failed: " in caplog.text
    assert "is no folder" in caplog.text
    assert "its log is 1.err" in caplog.text
    in_the_way.unlink()
    queue.steps.clear()
    queue.at_once, handed_out = 1, []
    run_study(study, tmp_path, launcher=LOCAL, on_progress=lambda text, *_: handed_out.append(text))
    assert set(handed_out) == {"jobs (1 handed out)"}
    assert kinds(queue) == ["training ce-drw", "analyses ce-drw", None]
    assert (tmp_path / "results.json").read_bytes() == alone


def test_a_job_that_is_gone_without_a_word_is_named_with_what_the_queue_knows(
    study, tmp_path, queue, caplog
):
    queue.lost = {Step(recipe, 0, "training") for recipe in study.recipes}
    with pytest.raises(InputError, match="2 jobs failed: training of ce-drw-seed0, training of ce"):
        run_study(study, tmp_path, launcher=LOCAL)
    assert "ended without a word, as OUT_OF_MEMORY" in caplog.text


def test_a_job_of_an_earlier_call_is_waited_for_and_not_handed_out_again(
    study, tmp_path, queue, alone, caplog
):
    queue.held = {"ce-drw": None}

    def stop(text, done, planned):
        if done == 2:  # all of the other recipe
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path, launcher=LOCAL, on_progress=stop)
    assert queue.left == ["1"]
    assert "they go on" in caplog.text

    def let_go(text, done, planned):
        if queue.held:
            queue.held.pop("ce-drw")()

    task = queue.held["ce-drw"]
    queue.held = {"ce-drw": task}
    run_study(study, tmp_path, launcher=LOCAL, on_progress=let_go)
    assert "taken up from an earlier call: 1 job" in caplog.text
    assert kinds(queue).count("training ce-drw") == 1
    assert (tmp_path / "results.json").read_bytes() == alone


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"jobs": 5}', "expected a list, got 5"),
        (
            '{"jobs": [{"step": "a", "job": "1; rm", "launcher": "slurm", "log": "x"}]}',
            "'1; rm' is no number of a job",
        ),
    ],
)
def test_a_damaged_list_of_jobs_is_refused(study, tmp_path, queue, content, complaint):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "jobs.json").write_text(content)
    with pytest.raises(InputError, match=complaint):
        run_study(study, tmp_path, launcher=LOCAL)
    assert queue.steps == []


def test_a_pickle_that_lies_in_a_study_s_folder_is_not_opened(study, tmp_path, queue):
    strange = Strange(str(tmp_path / "it-ran"))
    for number in ("1", "2"):
        for name in (f"{number}_submitted.pkl", f"{number}_0_result.pkl"):
            path = tmp_path / "jobs" / "logs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(strange))
    places = []
    queue.starts_in = places.append
    run_study(study, tmp_path, launcher=LOCAL)
    assert not (tmp_path / "it-ran").exists()
    (place,) = places
    assert place.parent == tmp_path / "jobs" / "logs"
    assert not place.exists()
