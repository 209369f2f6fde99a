import json

import pytest
import torch
from written_photos import write_photos

from checkpoints.data import load_data
from checkpoints.data.photos.lists import read_list
from spectra.errors import InputError


def listed(folder, content: bytes, name: str = "train.txt"):
    (folder / name).write_bytes(content)
    return read_list(folder / name)


def test_a_list_names_a_path_and_a_label_a_line(tmp_path):
    found = listed(tmp_path, b"a/0.jpg 0\nb/1.jpg 7\n")
    assert found.paths == ("a/0.jpg", "b/1.jpg")
    assert found.labels.tolist() == [0, 7]


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbfa b.jpg 3\n", b"a b.jpg 3\r\n", b"a b.jpg\t3", b"\n a b.jpg  3 \n\n"],
    ids=["byte order mark", "lines of Windows", "tab", "empty lines"],
)
def test_what_editors_leave_in_a_list_changes_nothing(tmp_path, content):
    found = listed(tmp_path, content)
    assert (found.paths[0].strip(), found.labels.tolist()) == ("a b.jpg", [3])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a.jpg 0\nb.jpg\n", "line 2: 'b.jpg' ends in no label; expected a path and a label"),
        (b"a.jpg one\n", "line 1: 'a.jpg one' ends in no label"),
        (b"a.jpg 1.5\n", "line 1: 'a.jpg 1.5' ends in no label"),
        (b"a.jpg -1\n", "line 1: label -1 is negative; labels go from 0"),
        (b"a.jpg 100000\n", "line 1: label 100000, plus one: 100,001 is more than the limit"),
        (b"a.jpg " + b"9" * 5000, "line 1: label 9+, plus one: a number above"),
        (b"/etc/a.jpg 0\n", "line 1: /etc/a.jpg leads out of the folder"),
        (b"a/../../b.jpg 0\n", r"line 1: a/../../b.jpg leads out of the folder"),
        (b"C:\\a.jpg 0\n", "leads out of the folder"),
        (b"..\\a.jpg 0\n", "leads out of the folder"),
        (b"a\x00.jpg 0\n", "leads out of the folder"),
        (b"", "names no images; expected a path and a label a line"),
        (b"\n\n", "names no images"),
        (b"a.jpg 0\n\xff\xfe.jpg 1\n", "line 2: this is no text in UTF-8"),
    ],
)
def test_what_is_wrong_with_a_list_is_one_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        listed(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_list(tmp_path):
    with pytest.raises(InputError, match="is a folder; expected a list of images"):
        read_list(tmp_path)


def coco(images, annotations):
    return json.dumps({"images": images, "annotations": annotations, "info": {"year": 2018}})


def test_the_json_of_inaturalist_is_a_list(tmp_path):
    images = [{"id": 5, "file_name": "x/1.jpg", "license": 3}, {"id": 2, "file_name": "x/2.jpg"}]
    labels = [{"image_id": 2, "category_id": 0}, {"image_id": 5, "category_id": 8141, "id": 9}]
    found = listed(tmp_path, coco(images, labels).encode(), "train2018.json")
    assert found.paths == ("x/1.jpg", "x/2.jpg")
    assert found.labels.tolist() == [8141, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (coco([{"id": 1, "file_name": "a"}], []), "image 1, a, has no annotation"),
        (
            coco(
                [{"id": 1, "file_name": "a"}],
                [{"image_id": 1, "category_id": c} for c in (0, 1)],
            ),
            "image 1 has two labels",
        ),
        (
            coco([{"id": 1, "file_name": "a"}], [{"image_id": 1, "category_id": -1}]),
            "image 1 has the negative label -1",
        ),
        ('{"images": []}', "is no list of images in COCO's form: .*annotations"),
        ("[", "is no list of images in COCO's form"),
    ],
)
def test_what_is_wrong_with_a_json_list_is_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        listed(tmp_path, text.encode(), "val2018.json")


@pytest.mark.parametrize("classes", [1000, 8142])
def test_lists_of_as_many_classes_as_are_published_are_read(tmp_path, classes):
    lines = [f"train/{c:04d}/{k}.jpg {c}\n" for c in range(classes) for k in range(3)]
    for kind, text in (("train", "".join(lines)), ("val", "val/a.jpg 5\n")):
        (tmp_path / f"iNaturalist18_{kind}.txt").write_text(text)
    data = load_data(f"inaturalist18:{tmp_path},32")
    assert data.num_classes == classes
    assert data.class_counts == (3,) * classes
    assert data.train.shape == (3, 32, 32)
    assert (len(data.test), data.normalisation.name) == (1, "inaturalist18")


def test_any_lists_are_read_with_the_folder_of_their_images(tmp_path):
    root = write_photos(tmp_path / "photos", (2, 1))
    source = f"list:{root}/ImageNet_LT_train.txt,{root}/ImageNet_LT_test.txt,{root},16"
    data = load_data(source)
    assert (data.name, data.class_counts) == ("ImageNet_LT_train", (2, 1))
    assert torch.equal(data.train.labels, torch.tensor([0, 0, 1]))
    without = load_data(f"list:{root}/ImageNet_LT_train.txt,,{root}")
    assert without.test is None
    assert without.train.shape == (3, 224, 224)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("imagenet-lt:", "expected imagenet-lt:DIR"),
        ("imagenet-lt:{root}/no", "holds no ImageNet_LT_train.txt|there is no folder"),
        ("inaturalist18:{root}", "holds no iNaturalist18_train.txt and no train2018.json"),
        ("imagenet-lt:{root},4", "SIZE from 8 to 1024 pixels, got '4'"),
        ("imagenet-lt:{root},a,b", r"expected imagenet-lt:DIR\[,SIZE\]"),
        ("list:{root}/ImageNet_LT_train.txt,{root}", "expected list:TRAIN.txt,TEST.txt,ROOT"),
        ("list:,,{root}", "expected list:TRAIN.txt,TEST.txt,ROOT"),
        ("list:{root}/none.txt,,{root}", "cannot read .*none.txt: No such file"),
        ("list:{root}/ImageNet_LT_train.txt,,{root}/none", "there is no folder"),
    ],
)
def test_what_is_wrong_with_a_source_is_one_line(tmp_path, source, message):
    with pytest.raises(InputError, match=message):
        load_data(source.format(root=write_photos(tmp_path / "photos", (1,))))


def test_gaps_in_labels_and_images_of_both_splits_are_said(tmp_path):
    root = write_photos(tmp_path / "photos", (1, 1))
    (root / "ImageNet_LT_train.txt").write_text("train/n0000/0.JPEG 0\ntest/n0001/0.JPEG 3\n")
    notes = " ".join(load_data(f"imagenet-lt:{root}").notes)
    assert "2 of the labels from 0 to 3 have no image (1, 2)" in notes
    assert "1 images are in" in notes
