import dataclasses
from pathlib import Path

import torch
from tiny_trainings import one_step, tiny_data, tiny_job, tiny_recipe
from torch import Tensor

from checkpoints import Architecture, ImageData
from checkpoints.data import LabelledImages
from checkpoints.training.images import in_memory
from checkpoints.training.run import train_job


def test_resampling_shows_every_class_equally_often(tmp_path, monkeypatch):
    data = tiny_data((400, 40, 4))
    seen = []
    monkeypatch.setattr(
        in_memory, "crop_flip", lambda images, *_, **options: seen.append(images) or images
    )
    recipe = one_step(weighting="resample", batch_size=444, lr=1e-6)
    softmax = Architecture("softmax", 3, 1, 4)
    train_job(tiny_job(tmp_path, recipe, data=data, architecture=softmax))
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
        in_memory, "crop_flip", lambda images, *_, **options: seen.append(images) or images
    )
    train_job(tiny_job(tmp_path, one_step(batch_size=5)))
    shown = sorted(image.numpy().tobytes() for image in torch.cat(seen))
    assert shown == sorted(image.numpy().tobytes() for image in tiny_data().train.images)


def recorded(folder: Path, monkeypatch, **fields) -> tuple[list[Tensor], list[Tensor]]:
    """Train for two epochs of one step; return the images before and after augmentation."""
    before, after = [], []
    crop_flip = in_memory.crop_flip

    def recording(images, *drawn, **options):
        before.append(images)
        after.append(crop_flip(images, *drawn, **options))
        return after[-1]

    with monkeypatch.context() as patch:
        patch.setattr(in_memory, "crop_flip", recording)
        train_job(tiny_job(folder, tiny_recipe(epochs=2, batch_size=100), **fields))
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
