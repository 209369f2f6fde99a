import shutil

import pytest
import torch
from click.testing import CliRunner
from tiny_trainings import Killed, digests, kill_after, tiny_job, tiny_recipe

from checkpoints.formats.native import load_native
from checkpoints.training.execution import EXACT, Execution
from checkpoints.training.run import train_job
from cli.main import cli
from spectra.errors import InputError

FAST = {
    "channels-last": Execution(channels_last=True),
    "bfloat16": Execution("bfloat16"),
    "both": Execution("bfloat16", channels_last=True),
}
# Relative to the change that the exact run made.
ERRORS = {"channels-last": 1e-4, "bfloat16": 0.4, "both": 0.4}


def weights(folder, recipe, execution, **fields):
    (path,) = train_job(tiny_job(folder, recipe, execution=execution, keep_epochs=(), **fields))
    return load_native(path)


def norm(tensors):
    return sum(float(t.square().sum()) for t in tensors) ** 0.5


@pytest.fixture(scope="module", params=["ce", "ce-sam", "ldam-drw"])
def exact(request, tmp_path_factory):
    recipe = tiny_recipe(request.param, epochs=1, lr=0.01)
    folder = tmp_path_factory.mktemp("exact")
    return recipe, weights(folder, recipe, EXACT)


@pytest.mark.parametrize("name", FAST)
def test_faster_steps_differ_by_rounding(tmp_path, exact, name):
    recipe, expected = exact
    found = weights(tmp_path, recipe, FAST[name])
    start = weights(tmp_path / "still", recipe.with_overrides({"lr": 1e-12}), EXACT)
    trained = {key for key, value in start.state.items() if value.is_floating_point()}
    for key in trained:
        assert found.state[key].dtype == torch.float32
        assert found.state[key].is_contiguous()
    error = norm(found.state[k] - expected.state[k] for k in trained)
    assert error < ERRORS[name] * norm(expected.state[k] - start.state[k] for k in trained)
    assert error > 0 or name == "channels-last"  # so small a network may be no other for it


def test_images_and_weights_lie_channels_last():
    layouts = []

    class Net(torch.nn.Conv2d):
        def forward(self, x):
            layouts.append(x.is_contiguous(memory_format=torch.channels_last))
            return super().forward(x).mean((2, 3))

    model = FAST["channels-last"].place(Net(3, 4, 3), torch.device("cpu"))
    FAST["channels-last"].forward(model)(torch.zeros(2, 3, 8, 8))
    assert layouts == [True]
    assert model.weight.is_contiguous(memory_format=torch.channels_last)
    assert not EXACT.place(Net(3, 4, 3), torch.device("cpu")).weight.is_contiguous(
        memory_format=torch.channels_last
    )


def test_a_checkpoint_says_how_it_was_computed(tmp_path):
    recipe = tiny_recipe(epochs=1)
    (note,) = weights(tmp_path / "fast", recipe, FAST["both"]).notes
    assert note == "trained in bfloat16, channels-last"
    assert weights(tmp_path / "exact", recipe, EXACT).notes == ()


@pytest.mark.parametrize("name", ["imbsam", "cc-sam", "focal-sam", "pgd", "lpf-sgd"])
def test_every_other_optimizer_trains_in_bfloat16(tmp_path, name):
    recipe = tiny_recipe(f"ce-drw-{name}", epochs=1, lr=0.01)
    exact, fast = (
        weights(tmp_path / n, recipe, e).metrics["train_loss"]
        for n, e in (("exact", EXACT), ("fast", Execution("bfloat16")))
    )
    # bfloat16 keeps eight bits, of which a few steps of a small network lose some.
    assert fast == pytest.approx(exact, rel=0.05)
    assert fast != exact


def test_losses_and_validation_are_in_float32(tmp_path):
    model = torch.nn.Linear(64, 8)
    x = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    forward = FAST["bfloat16"].forward(model)
    assert forward(x).dtype == torch.float32
    assert not torch.equal(forward(x), model(x))  # the passes are not
    torch.testing.assert_close(forward(x), model(x), rtol=0.05, atol=0.05)


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path):
    for name in ("whole", "killed"):
        job = tiny_job(tmp_path / name, execution=FAST["both"])
        if name == "killed":
            with pytest.raises(Killed):
                train_job(job, on_progress=kill_after(2))
        train_job(job, resume=name == "killed")
    assert digests(tmp_path / "whole") == digests(tmp_path / "killed")


def test_a_run_is_not_resumed_in_another_execution(tmp_path):
    train_job(tiny_job(tmp_path / "a"))
    with pytest.raises(InputError, match="holds a run with another execution"):
        train_job(tiny_job(tmp_path / "a", execution=FAST["both"]), resume=True)
    train_job(tiny_job(tmp_path / "b", execution=FAST["bfloat16"]))
    with pytest.raises(InputError, match=r"another execution; .*channels_last False, here: True"):
        train_job(tiny_job(tmp_path / "b", execution=FAST["both"]), resume=True)


def test_the_state_at_the_switch_is_shared_by_one_execution_alone(tmp_path):
    shared = tmp_path / "shared"
    for name, execution in (("a", EXACT), ("b", EXACT), ("c", FAST["both"])):
        recipe = tiny_recipe("ce-drw")
        train_job(
            tiny_job(tmp_path / name, recipe, shared=shared, keep_epochs=(), execution=execution)
        )
    assert len(list(shared.iterdir())) == 2


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs a C++ compiler")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method")
def test_a_compiled_network_trains_as_another_does(tmp_path, exact):
    recipe, expected = exact
    found = weights(tmp_path, recipe, Execution(compiled=True))
    for key, value in expected.state.items():
        torch.testing.assert_close(found.state[key], value, rtol=1e-4, atol=1e-5)
    assert found.notes == ("trained in compiled",)


def test_a_compiled_network_serves_three_optimizers(tmp_path):
    with pytest.raises(InputError, match="sgd, sam, asam, got cc-sam; leave --compile out"):
        tiny_job(tmp_path, tiny_recipe("ce-drw-cc-sam"), execution=Execution(compiled=True))


def test_a_captured_step_serves_three_optimizers(tmp_path):
    with pytest.raises(InputError, match="sgd, sam, asam, got pgd; leave --capture out"):
        tiny_job(tmp_path, tiny_recipe("ce-drw-pgd"), execution=Execution(captured=True))


def test_a_captured_step_needs_a_gpu_and_says_so_before_any_work(tmp_path):
    with pytest.raises(InputError, match="needs a CUDA device, got cpu; leave --capture") as error:
        train_job(tiny_job(tmp_path / "run", execution=Execution(captured=True)))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_captured_run_is_another_run_and_its_checkpoints_say_so():
    assert Execution(captured=True).identity == {
        "precision": "float32", "channels_last": False, "compiled": False, "captured": True
    }  # fmt: skip
    assert Execution("tf32", captured=True).note == "trained in tf32, captured"


def test_runs_of_before_steps_could_be_captured_keep_their_identity():
    assert EXACT.identity is None
    assert Execution("bfloat16").identity == {
        "precision": "bfloat16", "channels_last": False, "compiled": False
    }  # fmt: skip


def test_a_network_that_does_not_compile_is_one_line(tmp_path, monkeypatch):
    def refuse(model, **_):
        def call(x):
            raise torch._dynamo.exc.BackendCompilerFailed(call, RuntimeError("no compiler"), [])

        return call

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(
        InputError, match=r"cannot be compiled here .*leave --compile out"
    ) as caught:
        train_job(tiny_job(tmp_path, execution=Execution(compiled=True)))
    assert "\n" not in str(caught.value)


def test_an_unknown_precision_is_refused():
    with pytest.raises(InputError, match="float32, tf32, bfloat16, got 'half'"):
        Execution("half")


@pytest.mark.parametrize(
    "command",
    [
        ["train", "ce"],
        ["pipeline", "checkpoints/studies/demo.toml"],
        ["reproduce", "cifar10-lt-table", "--data", "digits"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_that_trains_passes_it_on(tmp_path, monkeypatch, command):
    asked = []

    def caught(job, **_):
        asked.append(job.execution)
        raise InputError("that is all")

    for module in ("training.run", "studies.steps", "studies.reproduction.trainings"):
        monkeypatch.setattr(f"checkpoints.{module}.train_job", caught)
    fast = ["--precision", "bfloat16", "--channels-last", "--compile", "--capture"]
    CliRunner().invoke(cli, [*command, *fast, "-o", str(tmp_path)], catch_exceptions=False)
    assert asked == [Execution("bfloat16", True, True, True)]
