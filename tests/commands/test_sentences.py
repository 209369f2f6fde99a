"""What is said of each class after the table, and what would change it."""

from dataclasses import replace

from command_line import SMALL, invoke, unfolded
from drawn_results import record_of

from cli.display.analyses import print_sentences
from spectra import LossAnalysis
from spectra.findings.verdict import NOT_THE_HESSIAN, Verdict
from spectra.landscape.bending import Bending
from spectra.landscape.stationary_point import StationaryPoint
from spectra.results.said.explanations import explanations

BENDING = Bending(
    radius=0.1, loss=0.02, secants=((0.1, 0.9),), predicted_with=0.6, predicted_without=0.3,
    lowered_with=0.6, lowered_without=0.3, share=0.5,
)  # fmt: skip
SLOPE = StationaryPoint("slope", "‖g‖ has a minimum of .04", 0.5, 1.0, 0.04)
UNDECIDED = Verdict("undecided", "λmax did not converge", 0.1, 1e-3, None, "More steps.")


def record(label: str, **fields) -> LossAnalysis:
    return replace(record_of(None, label), **fields)


def printed(capsys, *records: LossAnalysis) -> str:
    print_sentences(records)
    return unfolded(capsys.readouterr().out)


def test_of_a_class_there_is_what_was_found_and_what_would_change_it(capsys):
    shown = printed(capsys, record("8", bending=BENDING, stationary=SLOPE))
    assert shown == (
        f"what this says; --explain says why: class 8: negative curvature. {SLOPE.sentence} "
        f"{BENDING.sentence} what would change these findings: class 8: {BENDING.next_step}"
    )


def test_classes_of_which_the_same_is_said_share_a_line(capsys):
    shown = printed(capsys, *(record(c, bending=BENDING) for c in "08"), record("9"))
    assert f"classes 0, 8: negative curvature. {BENDING.sentence} class 9: " in shown
    assert f"what would change these findings: classes 0, 8: {BENDING.next_step} class 9: " in shown


def test_without_the_optional_findings_the_verdict_stands_alone(capsys):
    bare = record("8")
    assert printed(capsys, bare).endswith(
        "class 8: negative curvature. what would change these findings: class 8: "
        f"{bare.verdict.next_step}"
    )
    old = record("8", verdict=Verdict("descent", "an old file's", 0.1, 1e-3, None))
    assert printed(capsys, old).endswith("class 8: descent.")


def test_what_is_undecided_says_its_own_next_step():
    assert record("8", verdict=UNDECIDED, bending=BENDING).next_step == "More steps."
    open_search = StationaryPoint("undecided", "a kink", 0.5, 1.0, 0.04)
    found = record("8", bending=BENDING, stationary=open_search)
    assert found.next_step == open_search.next_step


def test_nothing_is_said_of_the_gauss_newton_matrix(capsys):
    verdict = Verdict(NOT_THE_HESSIAN, "", 0.1, 1e-3, None)
    assert printed(capsys, record("8", verdict=verdict)) == ""


def test_an_explanation_holds_reason_sentence_and_next_step_of_every_finding():
    whole = record("8", bending=BENDING, stationary=SLOPE)
    lines = explanations([whole, record("tail")])
    text = "\n".join(lines)
    for finding in (BENDING, SLOPE):
        assert finding.sentence in text
        assert f"what would change it: {finding.next_step}" in text
    assert lines[0] == "class 8, 50 images, loss 0.1"
    assert whole.verdict.reason in lines[1]
    assert SLOPE.reason in text
    after = text.partition("tail, 50 images")[2]
    assert "bending:" not in after
    assert "stationary point:" not in after


def test_the_command_explains_where_it_is_asked_to(run_folder, tmp_path):
    asked = ("analyze", run_folder, "--classes", "9", "-o", tmp_path, *SMALL)
    plain, long = invoke(*asked), invoke(*asked, "--explain")
    assert plain.exit_code == long.exit_code == 0, plain.output + long.output
    assert "what this says; --explain says why:" in plain.stdout
    assert "  curvature: " not in plain.stdout
    assert "class 9, " in long.stdout
    assert "  curvature: " in long.stdout
