import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from written_photos import write_photos

from checkpoints import AnalysisRequest, Recipe, analyze, load_data, train
from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.inputs import photo_memory
from checkpoints.data import LabelledImages
from checkpoints.data.photos.crops import draw_views
from checkpoints.data.photos.workers import Workers
from checkpoints.training.images.in_files import ImagesInFiles
from spectra import SolverSettings, make_generator
from spectra.errors import InputError

CPU = torch.device("cpu")
RECIPE = Recipe("ce", epochs=2, batch_size=4, lr=0.01, augment_crop=0)
FEW = SolverSettings(num_probes=1, num_steps=4, max_steps=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = write_photos(tmp_path_factory.mktemp("photos"), (5, 4, 3))
    return load_data(f"imagenet-lt:{root},16")


@pytest.fixture(scope="module")
def trained(data):
    return train(RECIPE, data, arch="softmax")


def epoch(data, sizes, order, draws, workers=None):
    source = ImagesInFiles(
        data.train, data.normalisation, flip=True, device=CPU, workers=workers or Workers(0)
    )
    return list(source.batches(order, draws, sizes))


def drawn(data, sizes):
    source = ImagesInFiles(
        data.train, data.normalisation, flip=True, device=CPU, workers=Workers(0)
    )
    return source.draw(sizes, make_generator(0, "views"))


@pytest.mark.parametrize("sizes", [[12], [5, 5, 2], [1] * 12, [4, 0, 8]])
def test_how_images_are_put_into_batches_changes_none(data, sizes):
    order = torch.randperm(12, generator=make_generator(0, "order"))
    draws = drawn(data, [12])
    found = epoch(data, sizes, order, draws)
    assert [len(batch) for batch in found] == sizes
    assert torch.equal(torch.cat(found), torch.cat(epoch(data, [12], order, draws)))


def test_a_part_of_every_batch_has_the_images_that_it_has_in_the_whole(data):
    order, draws = torch.arange(12), drawn(data, [12])
    whole = epoch(data, [4, 4, 4], order, draws)
    part = torch.tensor([2, 3, 6, 7, 10, 11])
    for mine, of_all in zip(
        epoch(data, [2, 2, 2], order[part], draws[:, part]), whole, strict=True
    ):
        assert torch.equal(mine, of_all[2:])


def test_training_is_evaluated_on_the_test_photos(data, trained):
    assert trained.epoch == 2
    assert trained.data["source"] == "imagenet-lt"
    assert trained.data["digest"] == data.digest()
    assert trained.normalisation.name == "imagenet"
    assert len(trained.metrics["test"]["accuracy"]) == 3


def test_an_analysis_of_files_has_the_numbers_of_their_pixels_in_memory(data, trained):
    request = AnalysisRequest(classes="0,tail", solver=FEW)
    in_memory = replace(
        data,
        train=LabelledImages(data.train.decoded(), data.train.labels),
        test=LabelledImages(data.test.decoded(), data.test.labels),
    )
    found, wanted = (analyze(trained, one, request) for one in (data, in_memory))
    assert [x.lambda_min for x in found.records] == [x.lambda_min for x in wanted.records]
    assert [x.accuracy for x in found.records] == [x.accuracy for x in wanted.records]


def test_an_analysis_without_room_for_its_images_says_so_and_has_the_same_numbers(
    data, trained, monkeypatch, caplog
):
    request = AnalysisRequest(classes="0", solver=FEW)
    wanted = analyze(trained, data, request)
    monkeypatch.setattr(photo_memory, "_SHARE", 0.0)
    found = analyze(trained, data, request)
    ends = [(x.lambda_min, x.lambda_max) for one in (found, wanted) for x in one.records]
    assert ends[0] == ends[1]
    assert "5 of 5 images have no room in memory and are decoded anew" in caplog.text


def hessian_over(data, trained, images):
    """The Hessian of class 0 over some choice of images, and what draws them anew."""
    request = AnalysisRequest(classes="0", images=images, solver=FEW)
    made = Losses.of(trained, data, request).prepare("0", (0,), check=False)
    return made.op, made.draw


def test_frozen_images_of_files_are_the_crops_that_training_would_show(data, trained):
    op, _ = hessian_over(data, trained, "frozen:3")
    draws = draw_views(15, make_generator(0, "augmentation", "train", "0"))
    order = torch.arange(5).repeat_interleave(3)  # class 0 comes first
    assert torch.equal(op.images[:], torch.cat(epoch(data, [15], order, draws)))
    some = torch.tensor([11, 3])
    assert torch.equal(op.images[some], op.images[:][some])
    assert op.labels.tolist() == [0] * 15


def test_crops_that_memory_has_no_room_for_are_decoded_anew(data, trained, monkeypatch, caplog):
    wanted, _ = hessian_over(data, trained, "frozen:3")
    monkeypatch.setattr(photo_memory, "_SHARE", 0.0)
    found, _ = hessian_over(data, trained, "frozen:3")
    assert torch.equal(found.images[:], wanted.images[:])
    assert "15 of 15 images have no room in memory" in caplog.text


def test_fresh_images_of_files_are_drawn_at_every_product(data, trained):
    op, draw = hessian_over(data, trained, "fresh")
    again, repeated = hessian_over(data, trained, "fresh")
    assert torch.equal(op.images[:], again.images[:])
    first = draw()
    assert not torch.equal(first, op.images[:])
    assert torch.equal(first, repeated())


def test_an_analysis_takes_random_crops_of_files(data, trained):
    for images, n in (("frozen:2", 10), ("fresh", 5)):
        request = AnalysisRequest(classes="0", images=images, solver=FEW)
        (record,) = analyze(trained, data, request).records
        assert record.n == n


def test_every_view_of_images_of_files_is_refused_in_one_line(data, trained):
    request = AnalysisRequest(classes="0", images="frozen:all", solver=FEW)
    with pytest.raises(InputError, match="images frozen:all are every crop and flip, and the"):
        analyze(trained, data, request)


def test_padded_crops_are_refused_of_files(tmp_path):
    root = write_photos(tmp_path, (1, 1))
    from checkpoints.training.request import TrainRequest, training_job

    request = TrainRequest("ce", overrides={"augment_crop": 2})
    with pytest.raises(InputError, match="augment_crop pads images that lie in memory"):
        training_job(request, tmp_path / "run", data=load_data(f"imagenet-lt:{root},16"))


@pytest.mark.distributed
def test_the_number_of_processes_changes_no_byte(data):
    order = torch.arange(12).repeat(30)  # enough for processes to be started
    draws = drawn(data, [360])
    alone = epoch(data, [100, 100, 100, 60], order, draws)
    workers = [Workers(1), Workers(4)]
    for some in workers:
        for _ in range(2):  # of two epochs, the first of which is not taken to its end
            found = epoch(data, [100, 100, 100, 60], order, draws, some)
            assert all(torch.equal(a, b) for a, b in zip(found, alone, strict=True))
            next(some.map(data.train.to_decode(order)))


@pytest.mark.distributed
def test_a_script_without_a_guard_is_run_once(data, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\n"
        "from checkpoints import load_data\n"
        "from checkpoints.data.photos.workers import Workers\n"
        "print('begins')\n"
        f"split = load_data('imagenet-lt:{data.train.root},16').train\n"
        "images = split.subset(torch.arange(300) % 12).decoded(Workers(2))\n"
        "print(len(images), __file__)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["begins", f"300 {script}"]
    assert done.stderr == ""


@pytest.mark.distributed
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_ends_the_first_one_alone(data, tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, time, torch\n"
        "from checkpoints import load_data\n"
        "from checkpoints.data.photos.workers import Workers\n"
        "for one in (signal.SIGINT, signal.SIGTERM):\n"  # which a shell may have ignored
        "    signal.signal(one, signal.default_int_handler)\n"
        f"split = load_data('imagenet-lt:{data.train.root},16').train\n"
        "pieces = Workers(2).map(split.to_decode(torch.arange(60_000) % 12))\n"
        "for _ in range(6): next(pieces)\n"  # both have begun by then
        "try:\n"
        f"    os.killpg(0, {int(number)})\n"
        "    list(pieces)\n"
        "except KeyboardInterrupt:\n"
        "    time.sleep(0.5)\n"
        "    print('ended')\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("ended\n", "")


@pytest.mark.distributed
def test_a_process_that_is_killed_is_one_line(data):
    workers = Workers(1)
    pieces = workers.map(data.train.to_decode(torch.arange(12).repeat(60)))
    next(pieces)
    assert workers._loader is not None
    os.kill(workers._loader._iterator._workers[0].pid, signal.SIGKILL)
    with pytest.raises(InputError, match="a process that decodes images ended"):
        list(pieces)
