"""Parts of the Hessian, from the command and Python: parameters, Gauss-Newton, top, layers."""

import json

import pytest
import torch
from command_line import SMALL, invoke, refused
from oracles import dense_gauss_newton, hessian_of
from safetensors import safe_open

from checkpoints import AnalysisRequest, analyze, load_checkpoint, load_data
from checkpoints.analysis.request import TheoremRequest
from spectra import InputError, SolverSettings, analyze_classes, class_hessian, load_analysis
from spectra.findings.verdict import NOT_THE_HESSIAN

DIGITS = "bundled:digits/ce-drw"
SOLVER = SolverSettings(num_probes=1, num_steps=4, max_steps=4)


def test_extremes_by_some_parameters_are_those_of_their_dense_block(net):
    data = net.images, net.labels
    found = analyze_classes(
        net.model, data, "overall", parameters=["3", "5"], dtype=torch.float64, num_steps=200,
        tol=1e-9,
    )  # fmt: skip
    values = torch.linalg.eigvalsh(hessian_of(net).restrict(["3.*", "5.*"]).dense())
    (record,) = found.records
    assert record.spectrum.size == len(values) == 39
    # The residuals allowed, 1e-9 |θ|; an eigenvalue's error is quadratic in them.
    assert record.lambda_min == pytest.approx(float(values[0]), rel=1e-9)
    assert record.lambda_max == pytest.approx(float(values[-1]), rel=1e-9)
    assert found.protocol.parameters == ("3", "5")
    assert "by 3 5 alone" in repr(found)


def test_the_command_says_which_parameters_and_keeps_them_in_the_file(tmp_path):
    given = "--parameters", "linear.*", "--parameters", "conv1"
    result = invoke("analyze", DIGITS, "--classes", "9", *given, "-o", tmp_path, *SMALL)
    assert result.exit_code == 0, result.output
    assert "The Hessian is by linear.* conv1 alone" in " ".join(result.stdout.split())
    found = load_analysis(tmp_path / "analysis.json")
    assert found.protocol.parameters == ("linear.*", "conv1")
    request = AnalysisRequest(classes="9", parameters=("linear.*", "conv1"), solver=SOLVER)
    again = analyze(DIGITS, request=request).record("9")
    assert again.spectrum.size == found.record("9").spectrum.size < 19_130


def test_what_matches_nothing_is_one_line_that_lists_the_top_level(tmp_path):
    line = refused("analyze", DIGITS, "--parameters", "layer9.*", "-o", tmp_path, *SMALL)
    assert "no parameter matches 'layer9.*'" in line
    assert "at the top are conv1, " in line


def test_kept_results_of_other_parameters_are_not_taken(tmp_path):
    sizes = []
    for parameters in ((), ("linear",)):
        request = AnalysisRequest(classes="9", parameters=parameters, solver=SOLVER)
        found = analyze(DIGITS, request=request, units=tmp_path)
        sizes.append(found.record("9").spectrum.size)
    assert sizes[0] > sizes[1]


def test_files_of_all_parameters_say_nothing_of_them(tmp_path):
    analyze(DIGITS, request=AnalysisRequest(classes="9", solver=SOLVER)).save(tmp_path / "a.json")
    assert "parameters" not in (tmp_path / "a.json").read_text("utf-8")


def test_a_theorem_of_some_parameters_is_refused():
    with pytest.raises(InputError, match="leave out --parameters and --gauss-newton"):
        TheoremRequest(AnalysisRequest(parameters=("linear",)))


@pytest.mark.parametrize("num_probes", [0, 1])
def test_the_spectrum_of_the_gauss_newton_matrix_is_that_of_dense_jacobians(net, num_probes):
    data = net.images, net.labels
    found = analyze_classes(
        net.model, data, "overall", gauss_newton=True, dtype=torch.float64, num_steps=200,
        num_probes=num_probes, tol=1e-9,
    )  # fmt: skip
    values = torch.linalg.eigvalsh(dense_gauss_newton(net.model, net.images, net.labels))
    (record,) = found.records
    assert record.lambda_max == pytest.approx(float(values[-1]), rel=1e-9)
    # 0, as 22 images of rank 2 leave most of 204 directions flat; "floor" counts 1e-4 λmax as 0.
    assert abs(record.lambda_min) <= 1e-4 * record.lambda_max
    assert record.lambda_min >= -1e-12 * record.lambda_max
    assert record.products == "gauss-newton"


def test_of_the_gauss_newton_matrix_neither_ratio_nor_verdict_is_told(tmp_path):
    result = invoke("analyze", DIGITS, "--classes", "9", "--gauss-newton", "-o", tmp_path, *SMALL)
    assert result.exit_code == 0, result.output
    assert "Gauss-Newton matrix of each class's loss" in result.stdout
    table = result.stdout.partition("what is unusual here:")[0]
    assert not {"verdict", "ratio", "negative", "ρ*"} & set(table.split())
    found = load_analysis(tmp_path / "analysis.json")
    assert found.protocol.matrix == "gauss-newton"
    record = found.record("9")
    assert (record.ratio, record.grad_along_vmin) == (None, None)
    assert record.verdict.name == NOT_THE_HESSIAN
    assert record.verdict.critical_radius is None


@pytest.mark.parametrize(
    "other", [{"images": "fresh"}, {"solver": SolverSettings(engine="pyhessian")}]
)
def test_the_gauss_newton_matrix_is_refused_where_there_is_none(other):
    with pytest.raises(InputError, match=r"leave out --gauss-newton, or --images .* --engine"):
        AnalysisRequest(gauss_newton=True, **other)


@pytest.mark.parametrize("num_probes", [0, 1])
def test_the_top_eigenvalues_are_those_of_the_dense_hessian(net, num_probes, tmp_path):
    found = analyze_classes(
        net.model, (net.images, net.labels), "overall", top=4, dtype=torch.float64,
        num_probes=num_probes, tol=1e-9,
    )  # fmt: skip
    found.save(tmp_path / "found.json")
    (record,) = load_analysis(tmp_path / "found.json").records
    assert record.top == found.records[0].top
    low, high = ([v.value for v in end] for end in (record.top.lowest, record.top.highest))
    assert low == pytest.approx(net.eigenvalues[:4].tolist(), rel=1e-9)
    assert high == pytest.approx(net.eigenvalues.flip(0)[:4].tolist(), rel=1e-9)
    assert all(v.converged for v in (*record.top.lowest, *record.top.highest))


def test_top_eigenpairs_are_printed_and_their_vectors_kept(tmp_path):
    given = "--top", 2, "--parameters", "linear", "--save-vectors", "--max-steps", 60
    result = invoke("analyze", DIGITS, "--classes", "9", *given, "-o", tmp_path, *SMALL)
    assert result.exit_code == 0, result.output
    assert "class 9: eigenvalues from either end, copies counted" in result.stdout
    assert "vectors-9.safetensors" in result.stdout
    record = load_analysis(tmp_path / "analysis.json").record("9")
    with safe_open(tmp_path / "vectors-9.safetensors", "pt") as file:
        vectors = file.get_tensor("highest").double()
        header = json.loads(file.metadata()["spectra"])
    checkpoint, data = load_checkpoint(DIGITS), load_data()
    images = checkpoint.normalisation(data.train.images)
    H = class_hessian(checkpoint.model(), images, data.train.labels, 9, parameters="linear")
    assert header["names"] == H.names
    # Vectors are kept in float32, whose rounding moves a Rayleigh quotient by its square.
    quotient = float(vectors[0] @ H.in_float64().matvec(vectors[0]))
    assert quotient == pytest.approx(record.top.highest[0].value, rel=1e-6)
    (tmp_path / "vectors-9.safetensors").unlink()
    invoke("analyze", DIGITS, "--classes", "9", *given, "-o", tmp_path, *SMALL)
    assert (tmp_path / "vectors-9.safetensors").exists()


def test_top_of_fresh_images_is_refused():
    with pytest.raises(InputError, match="leave out --top"):
        AnalysisRequest(images="fresh", solver=SolverSettings(top=2))


def test_layers_are_printed_drawn_and_kept(tmp_path):
    given = "--parameters", "linear", "--parameters", "conv1", "--per-layer", "--num-probes", 0
    result = invoke("analyze", DIGITS, "--classes", "9", *given, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert "class 9: blocks of the layers" in result.stdout
    record = load_analysis(tmp_path / "analysis.json").record("9")
    assert [layer.name for layer in record.layers] == ["conv1", "linear"]
    lines = (tmp_path / "layers.csv").read_text("utf-8").splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == ["conv1", "linear"]
    assert (tmp_path / "layers.png").exists()
    # A block's eigenvalues lie between those of the whole (Cauchy).
    assert record.lambda_min - record.residual_min <= min(x.lambda_min for x in record.layers)
    assert max(x.lambda_max for x in record.layers) <= record.lambda_max + record.residual_max


def test_vectors_of_images_drawn_anew_are_refused(tmp_path):
    said = refused("analyze", DIGITS, "--images", "fresh", "--save-vectors", "-o", tmp_path)
    assert "no eigenvectors to save; leave out --save-vectors" in said


def test_files_of_an_earlier_request_are_said(tmp_path):
    (tmp_path / "layers.csv").touch()
    result = invoke("analyze", DIGITS, "--classes", "9", "-o", tmp_path, "--no-figures", *SMALL)
    assert "of an earlier request, and not of this result: layers.csv" in result.stderr
