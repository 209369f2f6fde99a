"""The suite for GPUs: its steps at toy size, what it keeps, when it ends, what it packs."""

import dataclasses
import json
import logging
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from checkpoints import list_checkpoints
from checkpoints.data.dataset import ImageData, LabelledImages
from checkpoints.data.normalisations import CIFAR
from cli.bench.arithmetic import (
    COLUMNS,
    CONSUMER,
    H100,
    RESNET32,
    arithmetic_rows,
    count_product,
    launch_bound_below,
    markdown,
    product_seconds,
)
from cli.bench.comparison import convolutions
from cli.bench.gpu import images as mosaics
from cli.bench.gpu import plan, request
from cli.bench.gpu.images import read_images, write_images
from cli.bench.gpu.ledger import Budget, Ledger, plain
from cli.bench.gpu.pack import pack
from cli.bench.gpu.prepared import prepare, read_data, read_prepared, subjects
from cli.bench.gpu.request import SuiteRequest
from cli.bench.gpu.suite import Suite
from cli.bench.gpu.table import summary_rows
from cli.bench.gpu.toy import toy_checkpoint, toy_data
from cli.bench.gpu_steps import correctness, products, trainings, tunings
from cli.bench.gpu_steps.training_order import HISTORY
from cli.bench.gpu_steps.ways import EAGER, training_ways, ways
from cli.main import cli
from spectra import InputError, load_analysis, make_generator

DOCS = Path(__file__).parents[2] / "docs"
STEPS = [name for name, _, _ in plan.STEPS]


@pytest.fixture(scope="module")
def small_convolutions():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolutions, "BATCHES", {"cpu": (1,)})
        patch.setattr(convolutions, "SECONDS_PER_CASE", 0.0)
        yield


@pytest.fixture(scope="module")
def prepared_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("suite") / "prepared"
    return prepare(folder, sizes=request.TOY, data=toy_data(), network=toy_checkpoint())


@pytest.fixture(scope="module")
def dry_run(prepared_folder, small_convolutions) -> tuple[Path, dict]:
    folder = prepared_folder.parent
    said: list[str] = []
    return folder, plan.run_suite(SuiteRequest(folder, dry_run=True), say=said.append)


def noise(n: int, channels: int, seed: int = 0, side: int = 32) -> torch.Tensor:
    generator = make_generator(seed, "mosaics")
    return torch.randint(0, 256, (n, channels, side, side), generator=generator, dtype=torch.uint8)


def ledger(folder: Path, *, seconds: float = 1e6, identity: str = "same", say=None) -> Ledger:
    return Ledger(
        folder,
        device="cpu",
        budget=Budget(seconds),
        identity={"of": identity},
        say=say or (lambda line: None),
    )


# Images


# 1,025: a full mosaic, and one image in another.
@pytest.mark.parametrize(("n", "channels"), [(1025, 3), (5, 3), (5, 1)])
def test_images_come_back_from_mosaics_byte_for_byte(tmp_path, n, channels):
    images = noise(n, channels, side=8)
    names = write_images(tmp_path, "train", images)
    assert len(names) == (2 if n > 1024 else 1)
    assert torch.equal(read_images(tmp_path, names, shape=tuple(images.shape)), images)


def test_images_of_many_mosaics_come_back_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(mosaics, "COLUMNS", 2)
    monkeypatch.setattr(mosaics, "ROWS", 2)
    images = noise(11, 3)
    names = write_images(tmp_path, "train", images)
    assert len(names) == 3
    assert torch.equal(read_images(tmp_path, names, shape=tuple(images.shape)), images)


def test_without_pillow_images_are_an_npz(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr(mosaics.importlib.util, "find_spec", lambda name: None)
    images = noise(3, 3)
    assert write_images(tmp_path, "train", images) == ["train.npz"]
    assert torch.equal(read_images(tmp_path, ["train.npz"], shape=tuple(images.shape)), images)


def test_reading_mosaics_without_pillow_says_what_to_install(tmp_path, monkeypatch):
    names = write_images(tmp_path, "train", noise(3, 3))
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(InputError, match="pip install pillow"):
        read_images(tmp_path, names, shape=(3, 3, 32, 32))


# References


def test_prepared_data_are_those_that_were_given(prepared_folder):
    data, found = toy_data(), read_data(prepared_folder)
    assert found.digest() == data.digest()
    assert found.description == data.description
    assert torch.equal(found.test.images, data.test.images)
    assert torch.equal(found.test.labels, data.test.labels)


def test_prepared_images_that_have_changed_are_refused(prepared_folder, tmp_path):
    for path in prepared_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_images(tmp_path, "train", noise(len(toy_data().train), 3, side=16))
    with pytest.raises(InputError, match="not those that were prepared"):
        read_data(tmp_path)


def test_a_folder_without_references_says_how_to_make_them(tmp_path):
    with pytest.raises(InputError, match="--prepare"):
        read_prepared(tmp_path, request.TOY)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.npz", None),
        ("labels.npz", b""),
        ("labels.npz", b"PK damaged"),
        ("prepared.json", b"[]"),
        ("prepared.json", b'{"schema": 1}'),
        ("products.safetensors", b""),
    ],
)
def test_damaged_references_are_one_line(prepared_folder, tmp_path, name, content):
    folder = shutil.copytree(prepared_folder, tmp_path / "prepared")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(InputError, match="prepare again"):
        read_prepared(folder, request.TOY)


def test_a_flipped_byte_of_the_products_is_seen(prepared_folder, tmp_path):
    folder = shutil.copytree(prepared_folder, tmp_path / "flipped")
    path = folder / "products.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="are not those prepared"):
        read_prepared(folder, request.TOY)


def test_references_of_other_trainings_are_refused(prepared_folder):
    sizes = dataclasses.replace(request.TOY, trace_epochs=7)
    with pytest.raises(InputError, match="prepare again"):
        read_prepared(prepared_folder, sizes)


def test_reference_products_are_those_of_double_backward(prepared_folder):
    """An oracle that shares nothing with the products: autograd over autograd, in float64."""
    prepared = read_prepared(prepared_folder, request.TOY)
    name, label, n = subjects(prepared)[0]
    chosen = (prepared.data.train.labels == label).nonzero().flatten()[:n]
    model = prepared.checkpoint.model().double()
    x = CIFAR(prepared.data.train.images[chosen]).double()  # rounded as every subject is
    loss = torch.nn.functional.cross_entropy(model(x), prepared.data.train.labels[chosen])
    parameters = list(model.parameters())
    gradient = torch.autograd.grad(loss, parameters, create_graph=True)
    flat = torch.cat([g.flatten() for g in gradient])
    generator = make_generator(0, "gpu suite", name)
    v = torch.randint(0, 2, (len(flat),), generator=generator).double() * 2 - 1
    v /= v.norm()
    wanted = torch.cat([p.flatten() for p in torch.autograd.grad(flat @ v, parameters)])
    # Stored as float32, which rounds each number by 6e-8 of itself.
    torch.testing.assert_close(prepared.products[name].double(), wanted, rtol=1e-7, atol=1e-9)


# The run


def test_a_dry_run_does_every_step(dry_run):
    _, results = dry_run
    assert results["status"] == "done", results["reason"]
    assert {name: step["status"] for name, step in results["steps"].items()} == dict.fromkeys(
        STEPS, "done"
    )


def test_what_a_dry_run_leaves_is_strict_json_with_every_step_in_a_file(dry_run):
    folder, results = dry_run

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    kept = json.loads((folder / "results.json").read_text(), parse_constant=refuse)
    assert kept["steps"] == plain(results["steps"])
    files = sorted(path.name for path in (folder / "steps").iterdir())
    assert files == [f"{k + 1:02d}-{name}.json" for k, name in enumerate(STEPS)]


def test_a_dry_run_compares_every_way_with_float64(dry_run):
    _, results = dry_run
    for step, names in (
        ("tunings", [way.name for way in ways(on_gpu=False)]),
        ("executions", [way.name for way in training_ways(on_gpu=False)]),
    ):
        items = results["steps"][step]["items"]
        assert {key.partition(": ")[0] for key in items} == set(names)
        assert all(item["error"] <= correctness.ALLOWED for item in items.values())


def test_a_dry_run_has_products_of_every_way_at_every_size(dry_run):
    _, results = dry_run
    for n, _ in request.TOY.products:
        modes = {
            row["mode"] for row in results["steps"]["products"]["items"][f"{n} images"]["rows"]
        }
        assert {"one", *[way.name for way in ways(on_gpu=False) if way is not EAGER]} <= modes


def test_a_dry_run_has_extremes_and_densities_of_every_class(dry_run):
    folder, results = dry_run
    for step in ("extremes", "densities"):
        items = results["steps"][step]["items"]
        assert {f"class {c}" for c in range(10)} <= set(items)
    assert all(
        item["certificates"][0]["proven"]
        for key, item in results["steps"]["extremes"]["items"].items()
        if key.startswith("class")
    )
    record = load_analysis(folder / "densities" / "class-8.json").records[0]
    assert len(record.spectrum.nodes) == request.TOY.nodes


def test_a_dry_run_trains_and_analyzes_both_networks_under_each_protocol(dry_run):
    folder, results = dry_run
    for recipe in request.TOY.recipes:
        kept = [epoch for epoch, _ in list_checkpoints(folder / "runs" / recipe)]
        assert kept == list(request.TOY.keep_epochs)
        items = results["steps"]["networks"]["items"]
        mine = [key for key in items if key.startswith(f"{recipe}@3")]
        assert len(mine) == 1 + 3 * len(request.TOY.analyzed)
        assert len(items[f"{recipe}@3, test images"]["accuracy"]) == 10
        plain_one = items[f"{recipe}@3, class 8, plain"]
        assert plain_one["certificates"][0]["beyond"] is not None  # a bound from below


def test_a_dry_run_packs_results_and_all_weights_for_sending(dry_run):
    folder, _ = dry_run
    sent = list((folder / "send").iterdir())
    assert len(sent) <= 8
    assert all(path.stat().st_size <= 16 * 2**20 for path in sent)
    packed = [n for path in sent if path.suffix == ".zip" for n in zipfile.ZipFile(path).namelist()]
    for recipe in request.TOY.recipes:
        assert f"runs/{recipe}/resume.safetensors" in packed
        for epoch in request.TOY.keep_epochs:
            assert f"runs/{recipe}/checkpoints/epoch-{epoch:04d}.safetensors" in packed


def test_a_repeated_run_takes_everything_from_disk(dry_run):
    folder, results = dry_run
    said: list[str] = []
    again = plan.run_suite(SuiteRequest(folder, dry_run=True), say=said.append)
    assert not [line for line in said if ": done" in line]
    assert plain(again["table"]) == plain(results["table"])
    assert {k: v["items"] for k, v in plain(again["steps"]).items()} == {
        k: v["items"] for k, v in plain(results["steps"]).items()
    }


def test_the_command_prints_the_short_table_and_where_to_find_what_is_sent(dry_run):
    folder, results = dry_run
    found = CliRunner().invoke(cli, ["bench", "--suite", "gpu", "--dry-run", "-o", str(folder)])
    assert found.exit_code == 0, found.output
    for _, of, _ in results["table"]:
        assert of.split()[0] in found.output
    assert "results and weights to send" in found.output


def test_the_command_hands_prepare_its_source_and_checkpoint(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        sys.modules["cli.bench.command"],  # which the package hides behind the command
        "prepare",
        lambda folder, **rest: asked.update(rest, folder=folder),
    )
    found = CliRunner().invoke(
        cli,
        [
            "bench",
            "mine",
            "--suite",
            "gpu",
            "--prepare",
            "--data",
            "npz:a.npz",
            "-o",
            str(tmp_path),
        ],
    )
    assert found.exit_code == 0, found.output
    assert (asked["folder"], asked["source"], asked["checkpoint"]) == (
        tmp_path, "npz:a.npz", "mine"
    )  # fmt: skip


def test_options_of_the_suite_without_it_are_refused():
    found = CliRunner().invoke(cli, ["bench", "--dry-run"])
    assert found.exit_code == 2
    assert "go with --suite gpu" in found.output


def test_a_run_that_is_wrong_ends_there_with_exit_code_1(prepared_folder, tmp_path, monkeypatch):
    found = read_prepared(prepared_folder, request.TOY)
    # A reference that is off by 1 % stands in for products that are.
    name = next(iter(found.products))
    other = dataclasses.replace(
        found, products={**found.products, name: 1.01 * found.products[name]}
    )
    monkeypatch.setattr(plan, "read_prepared", lambda folder, sizes: other)
    monkeypatch.setattr(plan, "STEPS", [s for s in plan.STEPS if s[0] != "card"])
    arguments = ["bench", "--suite", "gpu", "--dry-run", "-o", str(tmp_path)]
    result = CliRunner().invoke(cli, [*arguments, "--prepared", str(prepared_folder)])
    assert result.exit_code == 1, result.output
    assert f"not right: {name}" in result.output
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["status"] == "aborted"
    assert list(kept["steps"]) == ["correctness"]


def test_no_time_at_all_is_said_and_nothing_else_is_done(prepared_folder, tmp_path):
    found = plan.run_suite(
        SuiteRequest(tmp_path, prepared_folder, seconds=1e-6, dry_run=True), say=lambda line: None
    )
    assert found["status"] == "stopped"
    statuses = {item["status"] for s in found["steps"].values() for item in s["items"].values()}
    assert statuses <= {"skipped", "not here"}


def test_a_dry_run_has_one_thread_and_puts_the_setting_back(tmp_path, monkeypatch):
    """With two on a busy machine it took ten minutes in place of one and a half."""
    seen = []
    monkeypatch.setattr(plan, "_run", lambda asked, say: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        plan.run_suite(SuiteRequest(tmp_path, dry_run=True))
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_the_suite_without_a_gpu_says_what_to_do_instead(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = CliRunner().invoke(cli, ["bench", "--suite", "gpu", "-o", str(tmp_path)])
    assert result.exit_code == 2
    assert "--dry-run" in result.output


def test_the_suite_runs_without_the_command_lines_libraries(tmp_path):
    """The machine with the GPU may have torch, numpy, scipy and safetensors alone."""
    script = f"""
        import sys
        absent = {{"rich", "matplotlib", "sklearn", "click", "pyhessian", "curvlinops",
                   "hessian_eigenthings", "PIL"}}
        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in absent:
                    raise ModuleNotFoundError(name, name=name)
        sys.meta_path.insert(0, Absent())
        from cli.bench.gpu.__main__ import main
        sys.exit(main(["-o", {str(tmp_path)!r}, "--device", "cpu"]))
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True
    )
    assert found.returncode == 2, found.stderr
    assert "the suite is for GPUs" in found.stderr


# Items, steps and seconds


def test_an_item_is_on_disk_before_the_next_one_begins(tmp_path):
    step = ledger(tmp_path).step("first", 1.0)
    step.item("one", lambda: {"value": 1})

    def look() -> dict:
        kept = json.loads((tmp_path / "results.json").read_text())
        assert kept["steps"]["first"]["items"]["one"]["value"] == 1
        assert json.loads((tmp_path / "steps" / "01-first.json").read_text())["items"]["one"]
        return {"seen": True}

    assert step.item("two", look)["seen"]


def test_an_item_that_raises_is_recorded_and_the_next_one_runs(tmp_path):
    step = ledger(tmp_path).step("first", 1.0)

    def fail() -> dict:
        raise RuntimeError("no such\nkernel")

    assert step.item("one", fail) is None
    assert step.item("two", lambda: {}) is not None
    step.close()
    assert step.items["one"]["reason"] == "RuntimeError: no such kernel"
    assert (step.status, step.reason) == ("failed", "failed: one")


def test_an_item_that_would_not_fit_is_skipped_and_says_so(tmp_path):
    step = ledger(tmp_path, seconds=100).step("first", 0.5)
    assert step.item("small", lambda: {}, estimate=10) is not None
    assert step.item("large", lambda: {}, estimate=60) is None
    step.close()
    assert step.items["large"]["reason"].endswith("some 60 s were needed")
    assert (step.status, step.reason) == ("stopped", "no time for large")


@pytest.mark.parametrize(("identity", "calls"), [("same", 1), ("other", 2)])
def test_a_finished_item_is_taken_from_disk_where_it_is_of_the_same_run(tmp_path, identity, calls):
    made = []

    def work() -> dict:
        made.append(1)
        return {}

    ledger(tmp_path).step("first", 1.0).item("one", work)
    ledger(tmp_path, identity=identity).step("first", 1.0).item("one", work)
    assert len(made) == calls


def test_a_repeated_run_that_is_killed_early_loses_nothing_of_the_later_steps(tmp_path):
    book = ledger(tmp_path)
    for name in ("first", "second"):
        book.step(name, 1.0).item("one", lambda: {})
    ledger(tmp_path).step("first", 1.0)  # and no more
    again = ledger(tmp_path)
    assert again.step("first", 1.0).done("one")
    assert again.step("second", 1.0).done("one")


def test_what_failed_or_was_cut_is_done_again(tmp_path):
    step = ledger(tmp_path).step("first", 1.0)
    step.item("failed", lambda: {}["nothing"])
    step.item("cut", lambda: {"status": "stopped"})
    again = ledger(tmp_path).step("first", 1.0)
    assert again.items == {}


def test_a_way_that_falls_back_is_heard_and_does_not_count_as_served(tmp_path):
    def fall_back() -> dict:
        logging.getLogger("spectra.products").warning("cannot be recorded")
        return {"right": True}

    step = ledger(tmp_path).step("first", 1.0)
    item = step.item("graphs", fall_back)
    assert item["said"] == ["cannot be recorded"]
    assert not tunings.served(item)
    assert tunings.served(step.item("eager", lambda: {"right": True}))


@pytest.mark.parametrize("error", [float("nan"), float("inf"), 6e-3])
def test_an_error_that_is_no_number_is_wrong_too(tmp_path, error):
    book = ledger(tmp_path)
    step = book.step("correctness", 1.0)
    step.item("class 8", lambda: {"error": error})
    assert len(correctness.wrong(step)) == 1
    again = ledger(tmp_path).step("correctness", 1.0)  # from disk
    assert len(correctness.wrong(again)) == 1
    assert summary_rows(book)[0][0] == "error against float64"


def test_numbers_that_json_lacks_become_words():
    assert plain({"a": (float("inf"), 1.0)}) == {"a": ["inf", 1.0]}


def test_a_training_that_the_limit_cuts_goes_on_where_it_stood(prepared_folder, tmp_path):
    sizes = dataclasses.replace(
        request.TOY, recipes=("ce-drw",), train_overrides={"epochs": 40, "batch_size": 32},
        keep_epochs=(40,),
    )  # fmt: skip
    asked = SuiteRequest(tmp_path, prepared_folder, device="cpu", sizes=sizes)
    book = ledger(tmp_path)
    suite = Suite(asked, read_prepared(prepared_folder, request.TOY), book)
    history = tmp_path / "runs" / "ce-drw" / HISTORY

    class UntilAnEpoch(type(book.step("other", 1.0))):
        @property
        def left(self) -> float:
            return 0.0 if history.exists() else 1e6

    step = book.step("trainings", 1.0)
    cut = UntilAnEpoch(**{f.name: getattr(step, f.name) for f in dataclasses.fields(step)})
    trainings.run(suite, cut)
    item = cut.items["ce-drw"]
    assert item["status"] == "stopped"
    assert 1 <= item["epochs"] < 40
    step.items = {}
    trainings.run(suite, step)
    assert step.items["ce-drw"]["status"] == "done"
    epochs = [line["epoch"] for line in trainings.read_history(history.parent)]
    # The epoch whose state had been saved but not its line is in no line; none is trained twice.
    assert len(set(epochs)) == len(epochs)
    assert epochs[-1] == 40


def test_a_card_too_small_for_two_ways_compares_the_default_one(monkeypatch):
    subject = products.random_subject(
        4, seed=0, dtype=torch.float32, device="cpu", architecture="resnet8"
    )
    taken = iter([0, 4000])  # 1,000 bytes an image
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: next(taken))
    monkeypatch.setattr(products, "available_bytes", lambda device: 10_000)
    others = list(ways(on_gpu=False))[1:]
    fit, left_out, budget = products._that_fit(subject, others)
    # .7 of 10,000 bytes hold one set of 4,000: the default way's.
    assert (fit, left_out, budget) == ([], [way.name for way in others], 7000)


# Packing


def test_the_last_weights_come_first_and_what_has_no_room_is_named(tmp_path):
    folder = tmp_path / "runs" / "ce-drw" / "checkpoints"
    folder.mkdir(parents=True)
    for epoch in (10, 50, 200):
        content = noise(10, 3, seed=epoch).numpy().tobytes()  # 30 KiB that do not compress
        (folder / f"epoch-{epoch:04d}.safetensors").write_bytes(content)
    (tmp_path / "results.json").write_text("{}")
    packed = pack(tmp_path, max_files=2, max_bytes=(30 + 64 + 2) * 2**10)
    assert [path.name for path in packed.files] == ["results.json", "weights-1.zip"]
    names = zipfile.ZipFile(packed.files[1]).namelist()
    assert names == ["runs/ce-drw/checkpoints/epoch-0200.safetensors"]
    assert packed.left_out == (
        "runs/ce-drw/checkpoints/epoch-0050.safetensors",
        "runs/ce-drw/checkpoints/epoch-0010.safetensors",
    )


# Arithmetic


def test_the_table_in_the_docs_is_what_the_arithmetic_gives():
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    assert markdown(COLUMNS, arithmetic_rows()) in text
    assert f"launches {RESNET32.launches} kernels" in text
    for rates in (H100, CONSUMER):
        assert f"under {launch_bound_below(RESNET32, rates)} images" in text


def test_the_counts_behind_the_arithmetic_are_those_of_a_product():
    found = count_product()
    # The docs give three digits.
    assert found.flops_per_image == pytest.approx(RESNET32.flops_per_image, rel=1e-3)
    assert found.bytes_per_image == pytest.approx(RESNET32.bytes_per_image, rel=5e-3)
    assert found.launches == RESNET32.launches
    assert found.launches <= 400


def test_few_images_cost_their_launches_and_many_their_work():
    assert product_seconds(RESNET32, H100, 1) == RESNET32.launches * H100.launch_seconds
    many = 5000 * RESNET32.flops_per_image / H100.flops
    assert product_seconds(RESNET32, H100, 5000) == pytest.approx(many)


def test_a_gpus_ways_begin_with_the_default_and_are_all_different():
    for found in (ways(on_gpu=True), training_ways(on_gpu=True)):
        assert len({way.name for way in found}) == len(found)
    assert ways(on_gpu=True)[0].options == {}


def test_labels_of_a_class_without_images_are_refused():
    data = toy_data()
    few = LabelledImages(data.train.images[:20], data.train.labels[:20])
    alone = ImageData("few", few, None, 10, CIFAR, {"source": "toy"})
    with pytest.raises(InputError, match="no images of class 8"):
        correctness.reference_subject(
            toy_checkpoint(), alone, 8, 5, dtype=torch.float32, device="cpu"
        )
