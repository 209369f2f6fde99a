"""Result files of the right types whose numbers cannot be what they say: refused by their place."""

import copy
import json
from pathlib import Path

import pytest
from command_line import refused

from spectra import InputError, load_analysis

FILE = Path(__file__).parents[2] / "docs" / "study" / "ce-drw-0060" / "fresh.json"
RECORD = ("records", 0)
PROBE = (*RECORD, "spectrum", "probes", 0)


@pytest.fixture(scope="module")
def plain():
    return json.loads(FILE.read_text(encoding="utf-8"))


def changed(plain, place, change):
    plain = copy.deepcopy(plain)
    at = plain
    for key in place[:-1]:
        at = at[key]
    last = place[-1]
    at[last] = change(at.get(last) if isinstance(at, dict) else at[last])
    return plain


def nudged(values):
    return [*values[:3], values[3] + 1e-3 * max(map(abs, values)), *values[4:]]


@pytest.mark.parametrize(
    ("place", "change", "said"),
    [
        ((*PROBE, "nodes"), lambda v: v[:-1], "alphas must hold"),
        ((*PROBE, "weights"), lambda v: [*v, 0.0], "alphas must hold"),
        ((*PROBE, "alphas"), lambda v: v[:-1], "m - 1 betas"),
        ((*PROBE, "betas"), lambda v: v[1:], "m - 1 betas"),
        ((*PROBE, "betas"), lambda v: [-v[0], *v[1:]], "betas must not be negative"),
        ((*PROBE, "weights"), lambda v: [-v[0], *v[1:]], "weights must not be negative"),
        ((*PROBE, "weights"), nudged, "not those of alphas and betas"),
        ((*PROBE, "nodes"), nudged, "not those of alphas and betas"),
        ((*PROBE, "alphas"), nudged, "not those of alphas and betas"),
        ((*PROBE, "alphas"), lambda v: [1e308] * len(v), "not those of alphas and betas"),
        ((*RECORD, "spectrum", "probes"), lambda _: [], "at least one probe"),
        ((*RECORD, "spectrum", "size"), lambda _: 3, "size must be at least"),
        (
            (*RECORD, "spectrum", "deflated"),
            lambda _: dict.fromkeys(("values", "residuals", "errors"), [0.0] * 269_700),
            "deflated values, got 269722",
        ),
        (
            PROBE,
            lambda v: {
                **v,
                "alphas": [0.0] * 12_000,
                "betas": [1.0] * 11_999,
                "nodes": None,
                "weights": None,
            },
            "is more than the limit of numbers in the eigenvectors of stored runs",
        ),
        ((*RECORD, "spectrum", "probe"), lambda _: "sphere", "probe must be one of"),
        ((*RECORD, "lambda_min"), lambda _: 1e9, "lambda_min must not be above lambda_max"),
        ((*RECORD, "n"), lambda _: -1, "n must not be negative"),
        ((*RECORD, "steps"), lambda _: -1, "steps must not be negative"),
        ((*RECORD, "grad_norm"), lambda _: -0.1, "grad_norm must not be negative"),
        ((*RECORD, "fit_accuracy"), lambda _: 97.5, "fit_accuracy must lie between 0 and 1"),
        (("records",), lambda v: v * 2, "of different classes, got 8 twice"),
        (("checkpoint", "class_counts"), lambda v: [-1, *v], "class_counts of the checkpoint"),
        (("schema",), lambda _: 99, "reads up to 3; update"),
        (("schema",), lambda _: 0, "schema: expected 1 to 3, got 0"),
        (("schema",), lambda _: 2**63 - 1, "reads up to"),
        (("format",), lambda _: "spectra.other", "is not a result file"),
        (("checkpoint", "class_counts"), lambda _: [10**30], "number out of range"),
    ],
)
def test_a_value_that_cannot_be_is_refused(plain, place, change, said, tmp_path):
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(changed(plain, place, change)), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_analysis(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("analyses",), []),
        (("analyses", 0, "checkpoint", "class_counts"), []),
        (("analyses", 0, "checkpoint", "recipe"), None),
        (("analyses", 0, "protocol", "split"), None),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_a_study_that_does_not_say_what_it_is_of_is_refused(plain, place, value, tmp_path):
    study = {"format": "spectra.study", "schema": 1, "name": "s", "analyses": [plain]}
    path = tmp_path / "results.json"
    path.write_text(json.dumps(changed(study, place, lambda _: value)), encoding="utf-8")
    (tmp_path / "s.toml").write_text("[train]\n")
    line = refused("plot", path, "--study", tmp_path / "s.toml", "-o", tmp_path / "out")
    assert str(path) in line


@pytest.mark.parametrize(
    "command",
    [("plot",), ("plot", "--kind", "grid"), ("plot", "--kind", "trajectory"), ("check-spectrum",),
     ("report",),     ("claim", "ghorbani2019")],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace('"lambda_min":', '"lambda_min":NaN,"x":', 1),
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"n":', '"n":1,"n":', 1),
        lambda text: "<html>404</html>",
        lambda text: text.replace('"closed":false', '"closed":"no"', 1),
    ],
    ids=["NaN", "cut", "twice", "web page", "word"],
)
def test_every_command_that_reads_results_names_the_file_in_a_line(
    command, spoil, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "spoilt.json"
    text = FILE.read_text(encoding="utf-8")
    assert spoil(text) != text
    path.write_text(spoil(text), encoding="utf-8")
    assert str(path) in refused(*command, path)
    assert [p.name for p in tmp_path.rglob("*")] == ["spoilt.json"]
