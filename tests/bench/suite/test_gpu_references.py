"""The prepared folder: what was given comes back, what has changed is refused."""

import dataclasses
import shutil

import pytest
import torch
from suite_parts import noise

from checkpoints.data.dataset import ImageData, LabelledImages
from checkpoints.data.normalisations import CIFAR
from cli.bench.gpu_references import sizes
from cli.bench.gpu_references.mosaics import write_images
from cli.bench.gpu_references.prepared_folder import read_data, read_prepared
from cli.bench.gpu_references.subjects import reference_workload
from cli.bench.gpu_references.toy import toy_checkpoint, toy_data
from spectra import InputError, make_generator

pytestmark = pytest.mark.card


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
        read_prepared(tmp_path, sizes.TOY)


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
        read_prepared(folder, sizes.TOY)


def test_a_flipped_byte_of_the_products_is_seen(prepared_folder, tmp_path):
    folder = shutil.copytree(prepared_folder, tmp_path / "flipped")
    path = folder / "products.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="are not those prepared"):
        read_prepared(folder, sizes.TOY)


def test_references_of_other_trainings_are_refused(prepared_folder):
    other = dataclasses.replace(sizes.TOY, trace_epochs=7)
    with pytest.raises(InputError, match="prepare again"):
        read_prepared(prepared_folder, other)


def test_folders_that_were_prepared_before_are_of_todays_sizes():
    """What is asked for here stands in folders that took minutes to make: change it with care."""
    assert sizes.FULL.references == {
        "subjects": [[8, 83], [9, 50], [0, 256]],
        "recipes": ["ce-drw-sam", "ce-drw"],
        "architecture": "resnet20",
        "epochs": 3,
        "images_per_class": 51,
        "overrides": {"weighting": "reweight", "lr": 0.005, "rho": 0.05},
    }


def test_reference_products_are_those_of_double_backward(prepared_folder):
    """An oracle that shares nothing with the products: autograd over autograd, in float64."""
    prepared = read_prepared(prepared_folder, sizes.TOY)
    subject = prepared.subjects[0]
    chosen = (prepared.data.train.labels == subject.label).nonzero().flatten()[: subject.n]
    model = prepared.checkpoint.model().double()
    x = CIFAR(prepared.data.train.images[chosen]).double()  # rounded as every subject is
    loss = torch.nn.functional.cross_entropy(model(x), prepared.data.train.labels[chosen])
    parameters = list(model.parameters())
    gradient = torch.autograd.grad(loss, parameters, create_graph=True)
    flat = torch.cat([g.flatten() for g in gradient])
    generator = make_generator(0, "gpu suite", subject.name)
    v = torch.randint(0, 2, (len(flat),), generator=generator).double() * 2 - 1
    v /= v.norm()
    wanted = torch.cat([p.flatten() for p in torch.autograd.grad(flat @ v, parameters)])
    # Stored as float32, which rounds each number by 6e-8 of itself.
    torch.testing.assert_close(
        prepared.products[subject.name].double(), wanted, rtol=1e-7, atol=1e-9
    )


def test_labels_of_a_class_without_images_are_refused():
    data = toy_data()
    few = LabelledImages(data.train.images[:20], data.train.labels[:20])
    alone = ImageData("few", few, None, 10, CIFAR, {"source": "toy"})
    with pytest.raises(InputError, match="no images of class 8"):
        reference_workload(toy_checkpoint(), alone, 8, 5, dtype=torch.float32, device="cpu")
