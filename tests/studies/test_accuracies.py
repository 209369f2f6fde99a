"""The accuracies of the bundled networks are stored, near the published, and in the document."""

import json
import re
from pathlib import Path

import pytest
from accuracy import NETWORKS, NetworkAccuracy

from checkpoints import load_checkpoint
from checkpoints.data import head_mid_tail
from spectra.results.plain import from_plain

DOCS = Path(__file__).parents[2] / "docs"
STORED = [
    from_plain(each, NetworkAccuracy, origin="r32-accuracy.json")
    for each in json.loads((DOCS / "study" / "r32-accuracy.json").read_text("utf-8"))["networks"]
]
LAST = [found for found in STORED if found.epoch == 200]


def test_every_bundled_epoch_of_the_paper_s_network_has_its_accuracies():
    assert tuple((found.recipe, found.epoch) for found in STORED) == NETWORKS


@pytest.mark.parametrize("found", LAST, ids=lambda found: found.recipe)
def test_overall_is_within_two_points_of_the_published_and_the_tail_within_four(found):
    assert abs(found.overall - found.published["overall"]) <= 2
    assert abs(found.tail - found.published["tail"]) <= 4


@pytest.mark.parametrize("found", STORED, ids=lambda found: f"{found.recipe}@{found.epoch}")
def test_groups_are_means_of_the_classes_and_of_what_the_training_recorded(found):
    checkpoint = load_checkpoint(f"bundled:cifar10-lt/{found.recipe}@{found.epoch}")
    groups = head_mid_tail(checkpoint.class_counts)
    for name, classes in groups.items():
        mean = sum(found.by_class[c] for c in classes) / len(classes)
        assert getattr(found, name) == pytest.approx(mean, abs=0.0051)  # two decimals
    if recorded := checkpoint.metrics.get("test"):  # on a GPU there were no test images
        # trained compiled and evaluated eagerly: an image or two on the border may change sides
        assert found.overall == pytest.approx(100 * recorded["overall"], abs=0.03)


@pytest.mark.parametrize("found", STORED, ids=lambda found: f"{found.recipe}@{found.epoch}")
def test_the_document_says_what_is_stored(found):
    text = (DOCS / "reproduction.md").read_text("utf-8")
    row = re.search(rf"^\| `bundled:cifar10-lt/{found.recipe}@{found.epoch}`.*$", text, re.M)
    assert row is not None
    cells = [cell.strip() for cell in row[0].strip("|").split("|")][2:]
    wanted = (found.overall, found.head, found.mid, found.tail)
    assert [float(cell) for cell in cells] == pytest.approx(wanted, abs=0.0501)  # one decimal
