import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from made_results import analysis
from PIL import Image

from figures.report.gather import gather_report
from spectra import InputError, SolverSettings
from spectra.results.directions.image_curvatures import (
    ImageCurvature,
    ImageCurvatures,
    ImagesProtocol,
    ImagesResult,
    save_images,
)
from spectra.results.directions.pictures_file import load_pictures, save_pictures
from spectra.results.directions.theorem_result import MeasuredAt
from spectra.results.plain import to_plain
from spectra.results.protocol_rows import protocol_rows
from spectra.system.files.writing import write_json


@pytest.fixture
def compared(tmp_path):
    """A comparison of protocols, as 'spectra analyze --compare-protocols' leaves it."""
    pyhessian = SolverSettings(engine="pyhessian", num_probes=1)
    found = {
        "plain": analysis("ce", density=False),
        "plain/pyhessian": analysis("ce", solver=pyhessian),
        "frozen:4": analysis("ce", images="frozen:4", density=False),
        "frozen:16": analysis("ce", images="frozen:16", density=False),
    }
    for name, result in found.items():
        result.save(tmp_path / f"{name.replace(':', '-').replace('/', '-')}.json")
    write_json(tmp_path / "protocols.json", to_plain(protocol_rows(found)))
    return tmp_path, protocol_rows(found)


def test_a_comparison_of_protocols_has_the_rows_of_its_table(compared):
    folder, rows = compared
    report = gather_report([folder])
    (held,) = report.protocols
    assert [(r.label, r.protocol) for r in held.rows] == [(r.label, r.protocol) for r in rows]
    assert [r.lambda_min for r in held.rows] == [r.lambda_min for r in rows]
    assert [r.node_ratio for r in held.rows] == [r.node_ratio for r in rows]
    assert report.missing.protocols is None


def test_a_comparison_alone_is_shown_by_its_first_protocol_too(compared):
    folder, _ = compared
    report = gather_report([folder])
    assert [source.file for source in report.sources] == [f"{folder.name}/plain.json"]
    assert [row.label for row in report.rows] == ["0", "8", "tail"]


def test_the_table_of_a_comparison_stands_for_its_folder(compared):
    folder, _ = compared
    (folder / "a.txt").write_text("")
    assert gather_report([folder / "protocols.json"]).protocols == gather_report([folder]).protocols


def test_draws_that_change_are_not_shown_as_an_analysis(tmp_path):
    for engine in ("spectra", "pyhessian"):
        made = analysis("ce", images="fresh", solver=SolverSettings(engine=engine))
        made.save(tmp_path / f"{engine}.json")
    report = gather_report([tmp_path])
    assert [row.protocol for row in report.protocols[0].rows[:2]] == ["fresh", "fresh/pyhessian"]
    assert report.rows == ()


def test_checkpoints_beside_each_other_are_no_comparison(tmp_path):
    analysis("ce", 100).save(tmp_path / "a.json")
    analysis("ce", 200).save(tmp_path / "b.json")
    report = gather_report([tmp_path])
    assert (len(report.rows), report.protocols) == (6, ())


def test_results_of_single_protocols_are_no_rows_of_the_matrix(compared, tmp_path):
    folder, _ = compared
    analysis("ce").save(tmp_path / "more" / "analysis.json")
    report = gather_report([folder])
    assert [source.file for source in report.sources] == [f"{folder.name}/more/analysis.json"]


def test_a_table_of_protocols_without_its_results_is_refused(compared, tmp_path):
    folder, _ = compared
    alone = tmp_path / "alone" / "protocols.json"
    alone.parent.mkdir()
    alone.write_bytes((folder / "protocols.json").read_bytes())
    with pytest.raises(InputError, match="holds no results"):
        gather_report([alone])


@pytest.fixture
def images(tmp_path):
    """Twenty images of one loss, and pictures of all of them."""
    each = tuple(ImageCurvature(k, 8, 8 - k % 2, 0.1, 0.05, -float(k), 1.0) for k in range(20))
    loss = ImageCurvatures("8", 0.1, -9.5, 1.0, 0.01, 0.01, each)
    protocol = ImagesProtocol("plain", "train", "ce", None, (), False, 0)
    save_images(
        tmp_path / "images.json", ImagesResult(MeasuredAt("digits/ce", 200), protocol, (loss,))
    )
    pixels = {k: np.full((4, 6, 1), k / 20, dtype=np.float32) for k in range(20)}
    save_pictures(tmp_path / "pictures.npz", pixels)
    return tmp_path, loss


def test_images_are_those_of_the_largest_shares(images):
    folder, loss = images
    (held,) = gather_report([folder]).images
    assert [image.position for image in held.lowest] == list(range(19, 7, -1))
    assert held.lowest[0].share == loss.share(loss.images[19], "lowest")
    assert (held.text, held.sentence, held.images) == ("digits/ce, epoch 200", loss.sentence, 20)


def test_a_picture_of_the_page_has_the_pixels_of_its_image(images):
    folder, _ = images
    picture = gather_report([folder]).images[0].lowest[0].picture
    head, _, content = picture.partition(",")
    assert head == "data:image/png;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    np.testing.assert_array_equal(shown, load_pictures(folder / "pictures.npz")[19][:, :, 0])


def test_images_without_pictures_are_told_without_them(images):
    folder, _ = images
    (folder / "pictures.npz").unlink()
    assert {image.picture for image in gather_report([folder]).images[0].highest} == {None}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"positions": [0]}, "is no pictures.npz"),
        ({"positions": [0], "pixels": np.zeros((1, 4, 4, 1))}, "expected pixels of bytes"),
        ({"positions": [0, 1], "pixels": np.zeros((1, 4, 4, 1), np.uint8)}, "k positions"),
    ],
)
def test_a_file_of_other_arrays_is_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "pictures.npz", **arrays)
    with pytest.raises(InputError, match=said):
        load_pictures(tmp_path / "pictures.npz")


def test_large_pictures_are_made_small(images):
    folder, _ = images
    random = np.random.default_rng(0)
    save_pictures(folder / "pictures.npz", {k: random.random((224, 224, 3)) for k in (8, 19)})
    held = gather_report([folder]).images[0].lowest
    assert len(json.dumps(held[0].picture)) < 12_000


def test_a_report_of_comparisons_alone_says_that_it_holds_them():
    stored = Path(__file__).parents[2] / "docs/study/r32-ce-drw-0200-c8-s0"
    assert gather_report([stored]).summary == "1 comparison of images."
