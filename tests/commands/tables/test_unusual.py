"""What is unusual in a result is said in a sentence; what does not apply is not said."""

from dataclasses import replace

import pytest
from drawn_results import analysis, record_of

from cli.display.found.protocols import protocols_table
from spectra.findings.certificates import Certificate
from spectra.findings.product_noise import ProductNoise
from spectra.landscape.bending import Bending
from spectra.results.protocol_rows import ProtocolRow
from spectra.results.said.unusual import unusual, unusual_of

# Nothing is unusual: many images, an ample λmax, and curvature that would overtake the gradient.
PLAIN = record_of(None, "0", low=-1.0, high=10.0, n=500, grad_norm=0.01)
FLAT = Bending(0.1, 0.0, (), None, None, None, None, 0.0)


def certificates(*, proven=True, beyond=-1.5, value=-1.0):
    confidence = 0.0 if beyond is None else 0.95
    low = Certificate("smallest", value, 1e-9, 0.01, proven=proven, beyond=beyond,
                      confidence=confidence, why="80 steps")  # fmt: skip
    high = replace(low, which="largest", value=10.0, beyond=None, confidence=0.0)
    return low, high


def test_nothing_is_said_of_what_is_usual():
    assert unusual(analysis(PLAIN, replace(PLAIN, label="1"))) == []
    assert unusual(analysis(replace(PLAIN, certificates=certificates()))) == []


CASES = {
    "not converged": ({"converged": False}, "not converged in 300 steps. Where ≤ stands λmin may"),
    "a ratio above 1": ({"lambda_min": -20.0}, "the ratio is above 1"),
    "few images": ({"n": 2}, "2 images, so one image is much of the loss"),
    "one image": ({"n": 1}, "1 image, so one image"),
    "estimated": ({"certificates": certificates(proven=False)}, "λmin and λmax are estimated"),
    "not bounded": ({"certificates": certificates(beyond=None)}, "nothing bounds λmin from below"),
    "contradicted": ({"certificates": certificates(beyond=-0.5)}, "lies beyond its own bound"),
    "fresh draws": ({"noise": ProductNoise(0.1, 0.1)}, "every product had a new draw"),
    "zero matrix": ({"lambda_min": 0.0, "lambda_max": 0.0}, "λmax is 0, so there is no ratio"),
    "loss 0": ({"bending": FLAT}, "the loss is 0 here, so no part of it can be lowered"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_unusual_in_a_class_is_one_sentence_that_names_it(case):
    fields, said = CASES[case]
    record = replace(PLAIN, label="8", **fields)
    found = analysis(PLAIN, record)
    (sentence,) = unusual(found)
    assert sentence.startswith("Class 8: ")
    assert said in sentence
    assert sentence.endswith(".")
    assert unusual_of(record, found.protocol) == [sentence.removeprefix("Class 8: ")]


def test_a_network_that_gets_most_training_images_wrong_may_see_them_in_another_form():
    wrong = [replace(PLAIN, label=str(c), classes=(c,), fit_accuracy=0.1 * c) for c in range(3)]
    (said,) = unusual(analysis(*wrong))
    assert said.startswith("The network gets only 10 % of these training images right.")
    assert unusual(analysis(*wrong, split="test"))[0].startswith("The losses are of test images")
    right = [replace(one, fit_accuracy=0.9) for one in wrong]
    assert unusual(analysis(*right)) == []


def test_a_large_gradient_is_a_slope_and_no_saddle():
    (said,) = unusual(analysis(record_of(None, "8", low=-1.0, high=10.0, n=500, grad_norm=3.0)))
    assert "would overtake it 6 away or further (ρ* = 2‖g‖/|λmin|); r is 0.1" in said
    assert said.endswith("These weights lie on a slope of that loss, not at a saddle.")


def test_classes_of_which_the_same_is_said_share_a_sentence():
    few = [replace(PLAIN, label=str(c), n=c) for c in range(3, 9)]
    assert unusual(analysis(*few)) == [
        "Classes 3 to 8: 3 to 8 images, so one image is much of the loss; other images of the "
        "class may give other numbers."
    ]


def test_views_of_one_image_do_not_make_it_more_images():
    (said,) = unusual(analysis(replace(PLAIN, label="8", n=24), images="frozen:4"))
    assert said.startswith("Class 8: 6 images, so one image is much of the loss")


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ({"images_per_class": 50}, "Of each class at most 50 images, drawn at random"),
        ({"reduction": "global"}, "multiplied by the loss's share of the whole"),
        ({"parameters": ("layer3.*",)}, "The Hessian is by layer3.* alone"),
        ({"split": "test"}, "The losses are of test images"),
        ({"matrix": "gauss-newton"}, "The Gauss-Newton matrix leaves out"),
    ],
    ids=lambda case: case if isinstance(case, str) else next(iter(case)),
)
def test_a_choice_that_changes_all_numbers_is_said_once(protocol, said):
    (sentence,) = unusual(analysis(PLAIN, replace(PLAIN, label="1"), **protocol))
    assert said in sentence


def test_a_dash_for_accuracy_is_explained_where_others_have_a_number():
    known = replace(PLAIN, label="1", accuracy=0.5)
    (said,) = unusual(analysis(PLAIN, known))
    assert said == "Class 0: there are no test images, so no accuracy on them."


def test_a_recurrence_that_is_made_of_noise_is_named():
    rows = [
        ProtocolRow("8", "fresh/pyhessian", 8, 0.1, -10.0, None, 14.0, 0.7, None,
                    "not a fixed matrix", 1.0, share, 0.1)
        for share in (0.07, 0.9)
    ]  # fmt: skip
    (said,) = protocols_table("run", rows).unusual
    assert said.startswith("fresh/pyhessian, class 8: |α|/β is 0.07, so the recurrence's matrix")
