import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from checkpoints import Architecture, ImageData, Recipe, TrainingJob, get_recipe, train
from checkpoints.data import LabelledImages, Normalisation
from checkpoints.formats.native import load_native, read_metadata
from checkpoints.recipes.schedules import class_weights
from checkpoints.training import batches as batches_module
from checkpoints.training import run as training_module
from checkpoints.training.evaluation import ClassMetrics, evaluate
from checkpoints.training.resume import host_copies
from checkpoints.training.run import checkpoint_path
from checkpoints.training.steps.sam import frozen_batch_norm
from checkpoints.training.trainer import all_finite
from spectra import CrossEntropy, InputError, NonFiniteError, make_generator

COUNTS = (9, 5, 3)
SCALE = Normalisation("custom", (0.5,), (0.25,))


def images_of(counts: tuple[int, ...], seed: int, size: int = 4) -> LabelledImages:
    generator = make_generator(seed, "training images")
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    shape = (len(labels), 1, size, size)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return LabelledImages(images, labels)


def tiny_data(counts: tuple[int, ...] = COUNTS, *, test: bool = True) -> ImageData:
    held_out = images_of((2,) * len(counts), 1) if test else None
    description = {"source": "npz", "name": "tiny", "test_name": None}
    return ImageData("tiny", images_of(counts, 0), held_out, len(counts), SCALE, description)


def tiny_recipe(name: str = "ce", **fields: object) -> Recipe:
    small = {"epochs": 5, "batch_size": 8, "augment_crop": 1}
    return get_recipe(name).with_overrides({**small, **fields})


def tiny_job(folder: Path, recipe: Recipe | None = None, **fields) -> TrainingJob:
    recipe = recipe or tiny_recipe()
    defaults = {
        "recipe": recipe,
        "data": tiny_data(),
        "architecture": Architecture("digits-resnet", 3, 1, 4, recipe.head),
        "seed": 0,
        "folder": folder,
    }
    return TrainingJob(**{**defaults, **fields})


def one_step(**fields: object) -> Recipe:
    """One epoch of one step on all images as they are, without momentum or weight decay."""
    plain = {"epochs": 1, "batch_size": 100, "augment_crop": 0, "augment_flip": False}
    return tiny_recipe(**{**plain, "momentum": 0.0, "weight_decay": 0.0, **fields})


def digests(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


class Killed(Exception):  # noqa: N818
    pass


def kill_after(epoch: int):
    def on_epoch(done: int, metrics: dict) -> None:
        if done == epoch:
            raise Killed

    return on_epoch


# --- reproducibility and resumption -----------------------------------------------------------

VARIANTS = {
    "sgd-drw": tiny_recipe("ce-drw", augment_flip=True),
    "sam": tiny_recipe("ce-drw-sam", rho=0.1),
    "sam, first": tiny_recipe("ce-sam", sam_bn="first"),
    "asam": tiny_recipe(optimizer="asam", rho_schedule="0:0.5,0.6:1"),
    "resample": tiny_recipe(weighting="resample"),
    "ldam": tiny_recipe("ldam-drw"),
    "vs": tiny_recipe("vs"),
    "no momentum": tiny_recipe(momentum=0.0, lr_schedule="cosine"),
}


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory) -> dict[str, Path]:
    folders = {}
    for name, recipe in VARIANTS.items():
        folders[name] = tmp_path_factory.mktemp("whole")
        train(tiny_job(folders[name], recipe, keep_epochs=(0, 1, 2, 3, 4, 5)))
    return folders


def run(folder: Path, name: str, **options) -> None:
    train(tiny_job(folder, VARIANTS[name], keep_epochs=(0, 1, 2, 3, 4, 5)), **options)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_same_seed_writes_the_same_bytes(tmp_path, whole_runs, name):
    run(tmp_path, name)
    assert digests(tmp_path) == digests(whole_runs[name])


@pytest.mark.parametrize("epoch", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_killed_after_an_epoch_and_resumed_writes_the_same_bytes(
    tmp_path, whole_runs, name, epoch
):
    with pytest.raises(Killed):
        run(tmp_path, name, on_epoch=kill_after(epoch))
    run(tmp_path, name, resume=True)
    assert digests(tmp_path) == digests(whole_runs[name])


@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_a_run_killed_before_its_state_is_saved_and_resumed_writes_the_same_bytes(
    tmp_path, whole_runs, monkeypatch, epoch
):
    def dying(path, state, identity):
        if state.epoch == epoch:
            raise Killed
        save(path, state, identity)

    save = training_module.save_state
    monkeypatch.setattr(training_module, "save_state", dying)
    with pytest.raises(Killed):
        run(tmp_path, "sgd-drw")
    monkeypatch.setattr(training_module, "save_state", save)
    run(tmp_path, "sgd-drw", resume=True)
    assert digests(tmp_path) == digests(whole_runs["sgd-drw"])


def test_a_run_resumed_after_every_epoch_writes_the_same_bytes(tmp_path, whole_runs):
    for epoch in (1, 2, 3, 4, 5):
        with pytest.raises(Killed):
            run(tmp_path, "sam", resume=epoch > 1, on_epoch=kill_after(epoch))
    assert digests(tmp_path) == digests(whole_runs["sam"])


def test_a_run_of_before_a_recipe_gained_a_field_resumes(tmp_path, whole_runs, monkeypatch):
    def older(path, state, identity):
        recipe = {k: v for k, v in identity["recipe"].items() if k not in ("focal_gamma", "rho")}
        save(path, state, {**identity, "recipe": recipe})

    save = training_module.save_state
    monkeypatch.setattr(training_module, "save_state", older)
    with pytest.raises(Killed):
        run(tmp_path, "sgd-drw", on_epoch=kill_after(2))
    monkeypatch.setattr(training_module, "save_state", save)
    run(tmp_path, "sgd-drw", resume=True)
    assert digests(tmp_path) == digests(whole_runs["sgd-drw"])


def test_a_field_unknown_to_an_older_run_and_not_at_its_default_is_refused(tmp_path, monkeypatch):
    def older(path, state, identity):
        recipe = {k: v for k, v in identity["recipe"].items() if k != "vs_tau"}
        save(path, state, {**identity, "recipe": recipe})

    save = training_module.save_state
    monkeypatch.setattr(training_module, "save_state", older)
    with pytest.raises(Killed):
        run(tmp_path, "vs", on_epoch=kill_after(2))
    other = tiny_job(tmp_path, VARIANTS["vs"].with_overrides({"vs_tau": 0.5}))
    with pytest.raises(InputError, match=r"another recipe.*vs_tau 1.2, here: 0.5"):
        train(other, resume=True)


def shared_job(folder: Path, weighting: str, **changes) -> TrainingJob:
    recipe = VARIANTS["sgd-drw"].with_overrides({"weighting": weighting})
    return tiny_job(folder, recipe, keep_epochs=(), **changes)


def test_runs_that_are_one_until_the_switch_train_it_once_to_the_same_bytes(tmp_path):
    switch, epochs = 4, 5
    for weighting in ("none", "drw"):
        train(shared_job(tmp_path / "alone" / weighting, weighting))
    done: dict[str, list[int]] = {"none": [], "drw": []}
    for weighting, counted in done.items():
        job = shared_job(tmp_path / "shared" / weighting, weighting, shared=tmp_path / "common")
        train(job, on_epoch=lambda epoch, _, counted=counted: counted.append(epoch))
    assert done == {"none": [1, 2, 3, 4, 5], "drw": list(range(switch + 1, epochs + 1))}
    for weighting in done:
        assert digests(tmp_path / "shared" / weighting) == digests(tmp_path / "alone" / weighting)
    assert digests(tmp_path / "alone" / "none") != digests(tmp_path / "alone" / "drw")


@pytest.mark.parametrize("changed", [{"seed": 1}, {"lr": 0.05}])
def test_a_run_that_differs_before_the_switch_shares_nothing(tmp_path, changed):
    train(shared_job(tmp_path / "a", "none", shared=tmp_path / "common"))
    job = shared_job(tmp_path / "b", "drw", shared=tmp_path / "common")
    if "seed" in changed:
        job = dataclasses.replace(job, seed=1)
    else:
        job = dataclasses.replace(job, recipe=job.recipe.with_overrides(changed))
    counted: list[int] = []
    train(job, on_epoch=lambda epoch, _: counted.append(epoch))
    assert counted == [1, 2, 3, 4, 5]


def test_a_run_that_keeps_an_epoch_before_the_switch_trains_it(tmp_path):
    train(shared_job(tmp_path / "a", "none", shared=tmp_path / "common"))
    job = dataclasses.replace(
        shared_job(tmp_path / "b", "drw", shared=tmp_path / "common"), keep_epochs=(2,)
    )
    assert checkpoint_path(job.folder, 2) in train(job)


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    train(tiny_job(tmp_path))
    before = digests(tmp_path)
    train(tiny_job(tmp_path), resume=True)
    assert digests(tmp_path) == before


def test_resuming_where_there_is_no_run_starts_one(tmp_path, whole_runs):
    run(tmp_path, "vs", resume=True)
    assert digests(tmp_path) == digests(whole_runs["vs"])


def test_another_seed_gives_other_weights(tmp_path, whole_runs):
    train(tiny_job(tmp_path, VARIANTS["sgd-drw"], seed=1))
    other = load_native(checkpoint_path(tmp_path, 5)).digest()
    assert other != load_native(checkpoint_path(whole_runs["sgd-drw"], 5)).digest()


def test_another_seed_gives_other_initial_weights(tmp_path):
    for seed in (0, 1):
        train(tiny_job(tmp_path / str(seed), one_step(), seed=seed, keep_epochs=(0,)))
    first, second = (load_native(checkpoint_path(tmp_path / s, 0)).digest() for s in "01")
    assert first != second


def test_recipes_that_differ_from_the_switch_on_agree_before_it(tmp_path):
    for name in ("ce", "ce-drw"):
        train(tiny_job(tmp_path / name, tiny_recipe(name), keep_epochs=(4,)))
    before = [load_native(checkpoint_path(tmp_path / n, 4)).digest() for n in ("ce", "ce-drw")]
    assert before[0] == before[1]


def test_training_leaves_the_global_generator_alone(tmp_path):
    before = torch.get_rng_state()
    train(tiny_job(tmp_path, one_step()))
    assert torch.equal(torch.get_rng_state(), before)


def test_training_does_not_depend_on_the_global_generator(tmp_path):
    for state in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state)
            train(tiny_job(tmp_path / str(state), one_step()))
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


# --- networks of users ------------------------------------------------------------------------

FACTORIES = """
import torch
from torch import nn

def plain(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, num_classes))

def dropout(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, num_classes))

class Tied(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.first = nn.Linear(16, 16)
        self.second = nn.Linear(16, 16)
        self.second.weight = self.first.weight
        self.linear = nn.Linear(16, num_classes)

    def forward(self, x):
        return self.linear(torch.relu(self.second(torch.relu(self.first(x.flatten(1))))))

def tied(num_classes):
    return Tied(num_classes)
"""


@pytest.fixture
def user_module(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("modules")
    (folder / "user_training_nets.py").write_text(FACTORIES)
    monkeypatch.syspath_prepend(folder)
    yield "user_training_nets"
    sys.modules.pop("user_training_nets", None)


def user_job(folder: Path, name: str, **fields) -> TrainingJob:
    return tiny_job(folder, architecture=Architecture(name, 3, 1, 4), **fields)


@pytest.mark.parametrize("factory", ["plain", "dropout", "tied"])
def test_a_users_network_trains_to_the_same_bytes_whatever_the_global_generator(
    tmp_path, user_module, factory
):
    for state in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state)
            train(user_job(tmp_path / str(state), f"{user_module}:{factory}"))
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


@pytest.mark.parametrize("factory", ["plain", "dropout", "tied"])
def test_a_users_network_resumes_to_the_same_bytes(tmp_path, user_module, factory):
    with torch.random.fork_rng(devices=[]):
        whole, resumed = (user_job(tmp_path / n, f"{user_module}:{factory}") for n in "ab")
        torch.manual_seed(1)
        train(whole)
        torch.manual_seed(1)
        with pytest.raises(Killed):
            train(resumed, on_epoch=kill_after(2))
        torch.manual_seed(2)
        train(resumed, resume=True)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_initial_weights_of_a_users_network_follow_the_seed(tmp_path, user_module):
    for seed in (0, 1):
        train(
            user_job(
                tmp_path / str(seed),
                f"{user_module}:plain",
                recipe=one_step(),
                seed=seed,
                keep_epochs=(0,),
            )
        )
    first, second = (load_native(checkpoint_path(tmp_path / s, 0)).digest() for s in "01")
    assert first != second


# --- from another run's weights ---------------------------------------------------------------

WITHOUT_MOMENTUM = tiny_recipe("ce-drw", momentum=0.0)


def started_job(folder: Path, whole: Path, epoch: int, **changes) -> TrainingJob:
    start = load_native(checkpoint_path(whole, epoch))
    return tiny_job(folder, WITHOUT_MOMENTUM, start=start, **changes)


@pytest.fixture(scope="module")
def momentum_free(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("momentum-free")
    train(tiny_job(folder, WITHOUT_MOMENTUM, keep_epochs=(0, 1, 2, 3, 4, 5)))
    return folder


@pytest.mark.parametrize("epoch", [0, 2, 4])
def test_without_momentum_a_run_goes_on_from_its_own_weights_as_if_it_had_not_stopped(
    tmp_path, momentum_free, epoch
):
    kept = train(started_job(tmp_path, momentum_free, epoch))
    last = load_native(checkpoint_path(momentum_free, 5))
    assert load_native(kept[-1]).digest() == last.digest()


def test_a_run_from_weights_says_from_which(tmp_path, momentum_free):
    kept = train(started_job(tmp_path, momentum_free, 3))
    assert [path.name for path in kept] == ["epoch-0004.safetensors", "epoch-0005.safetensors"]
    start = load_native(checkpoint_path(momentum_free, 3))
    (note,) = load_native(kept[-1]).notes
    assert note == (
        f"trained from {start.name} after epoch 3 (weights {start.digest()[:12]}), no momentum"
    )


def test_a_killed_run_from_weights_resumes_to_the_same_bytes(tmp_path, momentum_free):
    for name in ("whole", "killed"):
        job = started_job(tmp_path / name, momentum_free, 2)
        if name == "killed":
            with pytest.raises(Killed):
                train(job, on_epoch=kill_after(4))
        train(job, resume=name == "killed")
    assert digests(tmp_path / "whole") == digests(tmp_path / "killed")


def test_a_run_from_other_weights_is_not_resumed(tmp_path, momentum_free):
    train(started_job(tmp_path, momentum_free, 2))
    with pytest.raises(InputError, match="another start"):
        train(tiny_job(tmp_path, WITHOUT_MOMENTUM), resume=True)


def test_the_state_at_the_switch_is_not_shared_with_a_run_from_weights(tmp_path, momentum_free):
    job = started_job(tmp_path / "a", momentum_free, 2, shared=tmp_path / "common")
    train(job)
    assert not (tmp_path / "common").exists()


UNFIT = {
    "epochs": ({"recipe": tiny_recipe(epochs=3)}, "has 3 epochs behind it"),
    "architecture": (
        {"architecture": Architecture("digits-resnet", 3, 1, 4, shortcut="B")},
        "has another architecture than this run: shortcut",
    ),
    "classes": ({"data": tiny_data((9, 5, 4, 2))}, "has 3 classes, this run 4"),
    "normalisation": (
        {
            "data": dataclasses.replace(
                tiny_data(), normalisation=Normalisation("other", (0.1,), (1,))
            )
        },
        "has another normalisation than this run: name custom, here other",
    ),
    "keep": ({"keep_epochs": (1,)}, r"must lie in 3\.\.5, got \[1\]"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_weights_that_do_not_fit_the_run_are_refused_in_one_line(tmp_path, momentum_free, what):
    changes, message = UNFIT[what]
    with pytest.raises(InputError, match=message) as error:
        train(dataclasses.replace(started_job(tmp_path, momentum_free, 3), **changes))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


# --- refusals ---------------------------------------------------------------------------------


def test_a_run_is_not_overwritten_without_resume(tmp_path):
    train(tiny_job(tmp_path))
    before = digests(tmp_path)
    with pytest.raises(InputError, match="holds a run already; add --resume"):
        train(tiny_job(tmp_path, seed=1))
    assert digests(tmp_path) == before


OTHERS = {
    "recipe": {"recipe": tiny_recipe(lr=0.2)},
    "architecture": {"architecture": Architecture("digits-resnet", 3, 1, 4, shortcut="B")},
    "data": {"data": tiny_data((9, 5, 4))},
    "seed": {"seed": 1},
}


@pytest.mark.parametrize("what", OTHERS)
def test_resuming_another_run_is_refused_in_one_line_that_says_what_differs(tmp_path, what):
    train(tiny_job(tmp_path))
    with pytest.raises(InputError, match=f"holds a run with another {what}") as error:
        train(tiny_job(tmp_path, **OTHERS[what]), resume=True)
    assert "\n" not in str(error.value)


def test_resuming_with_another_learning_rate_names_both(tmp_path):
    train(tiny_job(tmp_path))
    with pytest.raises(InputError, match=r"lr 0\.1, here: 0\.2"):
        train(tiny_job(tmp_path, tiny_recipe(lr=0.2)), resume=True)


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign"])
def test_a_damaged_state_is_refused_in_one_line(tmp_path, damage):
    train(tiny_job(tmp_path))
    path = tmp_path / "resume.safetensors"
    content = path.read_bytes()
    foreign = checkpoint_path(tmp_path, 5).read_bytes()
    path.write_bytes({"truncated": content[:-9], "empty": b"", "foreign": foreign}[damage])
    with pytest.raises(InputError, match="cannot resume from") as error:
        train(tiny_job(tmp_path), resume=True)
    assert "\n" not in str(error.value)


def test_a_class_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"classes \[1\] have no training images"):
        train(tiny_job(tmp_path, data=tiny_data((9, 0, 3))))


@pytest.mark.parametrize("epoch", [-1, 6])
def test_an_epoch_to_keep_beyond_the_run_is_refused(tmp_path, epoch):
    with pytest.raises(InputError, match=r"must lie in 0\.\.5"):
        train(tiny_job(tmp_path, keep_epochs=(epoch,)))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(NonFiniteError, match=r"training loss of ce is .* in epoch"):
        train(tiny_job(tmp_path, tiny_recipe(lr=1e30)))


def test_a_run_that_diverges_keeps_its_earlier_checkpoints(tmp_path):
    # ρ grows to 1e30 at the third of five epochs
    recipe = tiny_recipe("ce-sam", rho_schedule="0:0.1,0.4:1e30")
    with pytest.raises(NonFiniteError):
        train(tiny_job(tmp_path, recipe, keep_epochs=(0, 1, 2, 3)))
    for epoch in (0, 1, 2):
        load_native(checkpoint_path(tmp_path, epoch)).model()


@pytest.mark.parametrize("test", [True, False], ids=["with test images", "without"])
def test_a_run_that_diverges_in_the_last_step_of_an_epoch_stops_there(tmp_path, test):
    # one step an epoch: its loss, taken before the step, is finite; the weights after it are not
    recipe = tiny_recipe(lr=1e38, batch_size=100, weight_decay=1e3)
    with pytest.raises(NonFiniteError):
        train(tiny_job(tmp_path, recipe, data=tiny_data(test=test), keep_epochs=(0, 1)))
    assert list(digests(tmp_path)) == ["checkpoints/epoch-0000.safetensors"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_value_that_is_not_finite_is_found_among_all_tensors(value):
    tensors = [torch.ones(3, 2), torch.tensor([1.0, value]), torch.tensor(7)]
    assert not all_finite(tensors)


def test_finite_tensors_are_finite_however_large():
    # The squares of the largest numbers would overflow; an empty tensor and a count hold nothing.
    tensors = [torch.full((4,), torch.finfo().max), torch.zeros(0), torch.tensor(7)]
    assert all_finite(tensors)


# --- what is kept -----------------------------------------------------------------------------


def test_copies_on_the_host_are_contiguous_and_share_no_memory():
    tied = torch.arange(6.0).view(2, 3)
    layout = torch.arange(16.0).view(1, 4, 2, 2).contiguous(memory_format=torch.channels_last)
    given = {"a": tied, "n": torch.tensor(3), "b": tied, "t": tied.T, "l": layout}
    given |= {"e": torch.zeros(0, 2), "d": torch.tensor(0.5, dtype=torch.float64)}
    found = host_copies(given)
    assert list(found) == list(given)
    for key, value in given.items():
        assert torch.equal(found[key], value)
        assert found[key].dtype == value.dtype
        assert found[key].is_contiguous()
    places = [t.untyped_storage().data_ptr() for t in found.values() if t.numel()]
    assert len(set(places)) == len(places)
    assert all(t.untyped_storage().nbytes() == t.nbytes for t in found.values())


def test_default_checkpoints_stand_before_and_after_the_switch(tmp_path):
    paths = train(tiny_job(tmp_path, tiny_recipe("ce-drw", epochs=10)))
    expected = [checkpoint_path(tmp_path, e) for e in (1, 2, 5, 8, 9, 10)]
    assert paths == expected
    assert sorted((tmp_path / "checkpoints").iterdir()) == expected


def test_the_last_epoch_is_always_kept(tmp_path):
    assert train(tiny_job(tmp_path, keep_epochs=())) == [checkpoint_path(tmp_path, 5)]


def test_a_resumption_that_asks_for_an_epoch_already_past_is_refused(tmp_path):
    with pytest.raises(Killed):
        train(tiny_job(tmp_path, keep_epochs=()), on_epoch=kill_after(3))
    with pytest.raises(InputError, match=r"past epochs \[2\]"):
        train(tiny_job(tmp_path, keep_epochs=(2, 4)), resume=True)


def test_checkpoint_zero_holds_the_initial_weights(tmp_path):
    train(tiny_job(tmp_path, one_step(), keep_epochs=(0,)))
    state = load_native(checkpoint_path(tmp_path, 0)).state
    assert int(state["bn1.num_batches_tracked"]) == 0


def test_checkpoints_say_everything_about_their_run(tmp_path):
    job = tiny_job(tmp_path, VARIANTS["ldam"], name="study/ldam")
    train(job)
    checkpoint = load_native(checkpoint_path(tmp_path, 4))
    known = {f.name: getattr(checkpoint, f.name) for f in dataclasses.fields(checkpoint)}
    del known["state"], known["metrics"]
    assert known == {
        "name": "study/ldam",
        "architecture": job.architecture,
        "normalisation": SCALE,
        "epoch": 4,
        "recipe": job.recipe,
        "class_counts": COUNTS,
        "data": {**job.data.description, "digest": job.data.digest()},
        "seed": 0,
        "versions": {
            "hessian-spectra": training_module.__version__,
            "torch": torch.__version__,
        },
        "notes": (),
    }


def test_a_run_is_named_after_data_and_recipe_by_default(tmp_path):
    train(tiny_job(tmp_path, one_step()))
    assert read_metadata(checkpoint_path(tmp_path, 1))["name"] == "tiny/ce"


def test_stored_test_metrics_are_those_of_the_stored_weights(tmp_path):
    job = tiny_job(tmp_path, VARIANTS["ldam"])
    train(job)
    checkpoint = load_native(checkpoint_path(tmp_path, 5))
    metrics = evaluate(
        checkpoint.model(),
        SCALE(job.data.test.images),
        job.data.test.labels,
        num_classes=3,
        loss=CrossEntropy(30.0),
    )
    assert checkpoint.metrics["test"] == json.loads(json.dumps(dataclasses.asdict(metrics)))


def test_on_epoch_hears_of_every_epoch_in_order(tmp_path):
    heard = []
    train(tiny_job(tmp_path), on_epoch=lambda epoch, metrics: heard.append(epoch))
    assert heard == [1, 2, 3, 4, 5]


def test_nothing_but_checkpoints_and_the_state_is_left_in_the_folder(tmp_path):
    train(tiny_job(tmp_path, keep_epochs=()))
    assert list(digests(tmp_path)) == ["checkpoints/epoch-0005.safetensors", "resume.safetensors"]


# --- one step, by hand ------------------------------------------------------------------------


def start_and_end(folder: Path, recipe: Recipe, data: ImageData | None = None):
    """Train for one step; return the initial network, the final one and the metrics."""
    job = tiny_job(folder, recipe, data=data or tiny_data())
    train(dataclasses.replace(job, keep_epochs=(0, 1)))
    first, last = (load_native(checkpoint_path(folder, e)) for e in (0, 1))
    return first.model().train(), last.model(), last.metrics


def batch_of(data: ImageData) -> tuple[Tensor, Tensor]:
    return SCALE(data.train.images), data.train.labels


def mean_loss(model: nn.Module, weights: Tensor | None = None) -> Tensor:
    x, y = batch_of(tiny_data())
    outputs = model(x)
    losses = outputs.logsumexp(1) - outputs[torch.arange(len(y)), y]
    w = torch.ones(len(y)) if weights is None else weights.float()[y]
    return (w * losses).sum() / w.sum()


def climb(model: nn.Module, rho: float) -> None:
    """Move ``model`` to w + ρ g/‖g‖ for the gradients of its parameters."""
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(mean_loss(model), parameters)
    norm = torch.cat([g.reshape(-1) for g in gradients]).norm()
    with torch.no_grad():
        for p, g in zip(parameters, gradients, strict=True):
            p.add_(rho / norm * g)


# float32 on 17 images summed in another order: 1e-5 of values of order 1
LOOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.mark.parametrize("name", ["ce", "ce-sam"])
def test_training_loss_is_that_at_w(tmp_path, name):
    # ρ = 50 is ten times the weights' own norm: the loss at w + ε is another number
    recipe = one_step(name=name) if name == "ce" else one_step(optimizer="sam", rho=50.0)
    start, _, metrics = start_and_end(tmp_path, recipe)
    assert metrics["train_loss"] == pytest.approx(float(mean_loss(start).detach()), rel=1e-5)


def test_training_accuracy_of_sam_is_that_at_w(tmp_path):
    start, _, metrics = start_and_end(tmp_path, one_step(optimizer="sam", rho=50.0))
    x, y = batch_of(tiny_data())
    assert metrics["train_accuracy"] == float((start(x).argmax(1) == y).sum()) / len(y)


def test_one_step_of_sgd_subtracts_lr_times_the_gradient(tmp_path):
    start, end, _ = start_and_end(tmp_path, one_step(lr=0.1, weight_decay=0.3))
    gradients = torch.autograd.grad(mean_loss(start), list(start.parameters()))
    for p, g, q in zip(start.parameters(), gradients, end.parameters(), strict=True):
        torch.testing.assert_close(q.detach(), p.detach() - 0.1 * (g + 0.3 * p.detach()), **LOOSE)


def test_one_step_of_sam_subtracts_lr_times_the_gradient_uphill(tmp_path):
    start, end, _ = start_and_end(tmp_path, one_step(optimizer="sam", rho=0.5))
    before = [p.detach().clone() for p in start.parameters()]
    climb(start, 0.5)
    gradients = torch.autograd.grad(mean_loss(start), list(start.parameters()))
    for p, g, q in zip(before, gradients, end.parameters(), strict=True):
        torch.testing.assert_close(q.detach(), p - 0.1 * g, **LOOSE)


def test_class_weights_enter_as_a_weighted_mean_over_the_batch(tmp_path):
    recipe = one_step(weighting="reweight")
    start, _, metrics = start_and_end(tmp_path, recipe)
    expected = mean_loss(start, class_weights(recipe, COUNTS, 0))
    assert metrics["train_loss"] == pytest.approx(float(expected.detach()), rel=1e-5)


def test_the_ragged_last_batch_counts_by_its_images(tmp_path):
    # lr so small that the weights stay: the epoch's loss is the mean over the images, in eval
    # statistics of no batch, so batch norm is kept out by the softmax network.
    recipe = one_step(batch_size=16, lr=1e-12)
    job = tiny_job(tmp_path, recipe, architecture=Architecture("softmax", 3, 1, 4))
    train(dataclasses.replace(job, keep_epochs=(0, 1)))
    start, end = (load_native(checkpoint_path(tmp_path, e)) for e in (0, 1))
    expected = float(mean_loss(start.model()).detach())
    assert end.metrics["train_loss"] == pytest.approx(expected, rel=1e-5)


# --- batch norm under SAM ---------------------------------------------------------------------


def running_averages(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items() if "running" in k}


def test_sam_with_batch_norm_first_updates_statistics_at_w_alone(tmp_path):
    recipe = one_step(optimizer="sam", rho=2.0, sam_bn="first")
    start, end, _ = start_and_end(tmp_path, recipe)
    mean_loss(start)
    torch.testing.assert_close(running_averages(end), running_averages(start), **LOOSE)


def test_sam_with_batch_norm_both_updates_statistics_at_w_and_uphill(tmp_path):
    recipe = one_step(optimizer="sam", rho=2.0, sam_bn="both")
    start, end, _ = start_and_end(tmp_path, recipe)
    climb(start, 2.0)
    mean_loss(start)
    torch.testing.assert_close(running_averages(end), running_averages(start), **LOOSE)


@pytest.mark.parametrize(("sam_bn", "updates"), [("first", 5), ("both", 10)])
def test_batch_norm_counts_the_updates_of_sam(tmp_path, sam_bn, updates):
    train(tiny_job(tmp_path, tiny_recipe("ce-sam", sam_bn=sam_bn, batch_size=100)))
    state = load_native(checkpoint_path(tmp_path, 5)).state
    assert int(state["bn1.num_batches_tracked"]) == updates


@pytest.mark.parametrize("active", [True, False])
def test_frozen_batch_norm_leaves_running_averages_alone_only_where_active(active):
    norm = nn.BatchNorm1d(2)
    with frozen_batch_norm(norm if active else None):
        norm(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    # momentum .1 towards the batch's means 2 and 4
    expected = torch.zeros(2) if active else torch.tensor([0.2, 0.4])
    torch.testing.assert_close(norm.running_mean, expected, rtol=1e-6, atol=0)


def test_frozen_batch_norm_normalises_by_the_batch():
    norm = nn.BatchNorm1d(1)
    with frozen_batch_norm(norm):
        out = norm(torch.tensor([[1.0], [3.0]])).detach()
    # (x - 2) / sqrt(1 + 1e-5)
    torch.testing.assert_close(out, torch.tensor([[-1.0], [1.0]]), rtol=0, atol=1e-5)


# --- sampling ---------------------------------------------------------------------------------


def test_resampling_shows_every_class_equally_often(tmp_path, monkeypatch):
    data = tiny_data((400, 40, 4))
    seen = []
    monkeypatch.setattr(
        batches_module, "crop_flip", lambda images, *_, **options: seen.append(images) or images
    )
    recipe = one_step(weighting="resample", batch_size=444, lr=1e-6)
    softmax = Architecture("softmax", 3, 1, 4)
    train(tiny_job(tmp_path, recipe, data=data, architecture=softmax))
    label_of = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(data.train.images, data.train.labels, strict=True)
    }
    labels = torch.tensor([label_of[image.numpy().tobytes()] for image in torch.cat(seen)])
    counts = torch.bincount(labels, minlength=3).double()
    # 444 draws, 148 expected of each: chi-square with 2 degrees of freedom, p = .001
    assert float(((counts - 148) ** 2 / 148).sum()) < 13.82


def test_without_resampling_an_epoch_shows_every_image_once(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        batches_module, "crop_flip", lambda images, *_, **options: seen.append(images) or images
    )
    train(tiny_job(tmp_path, one_step(batch_size=5)))
    shown = sorted(image.numpy().tobytes() for image in torch.cat(seen))
    assert shown == sorted(image.numpy().tobytes() for image in tiny_data().train.images)


def recorded(folder: Path, monkeypatch, **fields) -> tuple[list[Tensor], list[Tensor]]:
    """Train for two epochs of one step; return the images before and after augmentation."""
    before, after = [], []
    crop_flip = batches_module.crop_flip

    def recording(images, *drawn, **options):
        before.append(images)
        after.append(crop_flip(images, *drawn, **options))
        return after[-1]

    with monkeypatch.context() as patch:
        patch.setattr(batches_module, "crop_flip", recording)
        train(tiny_job(folder, tiny_recipe(epochs=2, batch_size=100), **fields))
    return before, after


def test_every_epoch_has_its_own_order(tmp_path, monkeypatch):
    before, _ = recorded(tmp_path, monkeypatch)
    assert not torch.equal(before[0], before[1])


def test_every_seed_has_its_own_order(tmp_path, monkeypatch):
    first, _ = recorded(tmp_path / "0", monkeypatch, seed=0)
    second, _ = recorded(tmp_path / "1", monkeypatch, seed=1)
    assert not torch.equal(first[0], second[0])


def one_image_repeated() -> ImageData:
    data = tiny_data()
    images = data.train.images[:1].expand_as(data.train.images).contiguous()
    return dataclasses.replace(data, train=LabelledImages(images, data.train.labels))


def test_every_epoch_has_its_own_crops(tmp_path, monkeypatch):
    _, after = recorded(tmp_path, monkeypatch, data=one_image_repeated())
    assert not torch.equal(after[0], after[1])


def test_every_seed_has_its_own_crops(tmp_path, monkeypatch):
    data = one_image_repeated()
    _, first = recorded(tmp_path / "0", monkeypatch, data=data, seed=0)
    _, second = recorded(tmp_path / "1", monkeypatch, data=data, seed=1)
    assert not torch.equal(first[0], second[0])


# --- evaluation -------------------------------------------------------------------------------


class Table(nn.Module):
    """Looks its outputs up by the first pixel, which is the image's number."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.register_buffer("outputs", outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.outputs[images[:, 0, 0, 0].long()]


def evaluated(n: int, classes: int = 4):
    generator = make_generator(0, "evaluation")
    outputs = torch.randn(n, classes, generator=generator, dtype=torch.float64)
    labels = torch.arange(n) % (classes - 1)  # the last class has no image
    images = torch.arange(n, dtype=torch.float64).view(n, 1, 1, 1)
    metrics = evaluate(Table(outputs), images, labels, num_classes=classes, loss=CrossEntropy(2.0))
    return metrics, outputs, labels


@pytest.mark.parametrize("n", [12, 500, 1203])
def test_class_accuracy_is_that_of_a_loop_over_the_images(n):
    metrics, outputs, labels = evaluated(n)
    for c in range(3):
        right = [
            max(range(4), key=lambda k, row=row: row[k]) == c
            for row, y in zip(outputs.tolist(), labels.tolist(), strict=True)
            if y == c
        ]
        assert metrics.accuracy[c] == sum(right) / len(right)


@pytest.mark.parametrize("n", [12, 500, 1203])
def test_class_loss_is_that_of_a_loop_over_the_images(n):
    metrics, outputs, labels = evaluated(n)
    for c in range(3):
        losses = [
            float((2 * row).logsumexp(0) - 2 * row[c])
            for row, y in zip(outputs, labels.tolist(), strict=True)
            if y == c
        ]
        # a sum of at most 401 float64 numbers
        assert metrics.loss[c] == pytest.approx(sum(losses) / len(losses), rel=1e-12)


def test_overall_accuracy_counts_images_not_classes():
    outputs = torch.eye(2, dtype=torch.float64)[[0, 0, 0, 0]]
    images = torch.arange(4, dtype=torch.float64).view(4, 1, 1, 1)
    labels = torch.tensor([0, 0, 0, 1])
    metrics = evaluate(Table(outputs), images, labels, num_classes=2, loss=CrossEntropy())
    assert metrics.overall == 0.75


def test_a_class_without_images_has_neither_accuracy_nor_loss():
    metrics, _, _ = evaluated(12)
    assert (metrics.accuracy[3], metrics.loss[3]) == (None, None)


def test_group_accuracy_is_the_mean_of_the_class_accuracies():
    metrics = ClassMetrics((1.0, 0.25, None), (2.0, 1.0, None), 0.9)
    assert metrics.group_accuracy((0, 1, 2)) == 0.625


def test_group_accuracy_of_classes_without_images_is_none():
    metrics, _, _ = evaluated(12)
    assert metrics.group_accuracy((3,)) is None


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 3))


def evaluate_on_tiny(model: nn.Module) -> None:
    x, y = batch_of(tiny_data())
    evaluate(model, x, y, num_classes=3, loss=CrossEntropy())


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_evaluation_restores_the_mode_of_the_network(mode):
    model = network().train(mode)
    evaluate_on_tiny(model)
    assert [m.training for m in model.modules()] == [mode] * 4


def test_evaluation_restores_the_mode_of_every_layer():
    model = network().train()
    model[1].eval()
    evaluate_on_tiny(model)
    assert [m.training for m in model.modules()] == [True, True, False, True]


def test_evaluation_leaves_batch_norm_statistics_alone():
    model = network().train()
    evaluate_on_tiny(model)
    assert int(model[1].num_batches_tracked) == 0
