"""The bench: peers against a dense Hessian, wrong ones caught, references, accounts, JSON."""

import functools
import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from oracles import random_vector
from torch import Tensor, nn

from cli.bench import plan
from cli.bench.comparison import convolutions, peers
from cli.bench.comparison.accounts import extremes_rows
from cli.bench.comparison.jobs import ClassResult
from cli.bench.comparison.products import (
    ConvolutionRate,
    ProductRow,
    ProductTable,
    compare_products,
)
from cli.bench.comparison.protocol_counts import ProtocolCount, count_protocol
from cli.bench.comparison.reference import (
    Reference,
    ReferenceEnd,
    ReferenceFile,
    converged_reference,
    kept_reference,
)
from cli.bench.comparison.subject import Subject, random_subject
from cli.main import cli
from spectra import CrossEntropy, HessianOperator, InputError, make_generator

EVERYBODY = (peers.Ours, peers.OursSeveral, *peers.PEERS)
CHECKPOINT = "bundled:digits/ce-drw"
# 32 images: not all of fewer are far enough from fitted for float32 products (see ALLOWED_ERROR).
TINY = ["--images", 32, "--images-per-class", 4, "--classes", "9", "--rounds", 1]


class ScaledByOnePercent(peers.Ours):
    name, mode = "scaled", "one"

    def products(self, vectors):
        return 1.01 * super().products(vectors)


class Broken(peers.Ours):
    name, mode = "broken", "one"

    def products(self, vectors):
        raise RuntimeError("no such\noperation")


class Absent(peers.Ours):
    name, mode, package, module = "absent", "one", "absent-package", "absent_module"


@pytest.fixture(autouse=True)
def small_convolutions(monkeypatch):
    monkeypatch.setattr(convolutions, "BATCHES", {"cpu": (1,)})
    monkeypatch.setattr(convolutions, "SECONDS_PER_CASE", 0.0)


@pytest.fixture
def subject(trained_nets) -> Subject:
    net = trained_nets["conv_resnet"]
    return subject_of(net)


def subject_of(net, *, weights=None) -> Subject:
    return Subject(
        "tiny", net.model, net.images, net.labels, CrossEntropy(), weights, torch.float64, "cpu"
    )


def bench(*arguments: object):
    return CliRunner().invoke(cli, ["bench", *[str(a) for a in arguments]])


def needs(*kinds: type[peers.Peer]) -> None:
    for package in peers.missing_packages(kinds):
        pytest.skip(f"{package} is not installed; make bench-env installs it")


@pytest.mark.parametrize("kind", EVERYBODY, ids=lambda k: f"{k.name}-{k.mode}")
@pytest.mark.parametrize("batch", [22, 8], ids=["one-batch", "ragged"])
def test_products_of_everybody_are_those_of_the_dense_hessian(trained_net, kind, batch):
    needs(kind)
    vectors = torch.stack([random_vector(len(trained_net.hessian), i) for i in range(kind.columns)])
    found = kind(subject_of(trained_net), batch).products(vectors)
    # float64 products on nets of a few hundred parameters: rounding is below 1e-13.
    torch.testing.assert_close(
        found, vectors @ trained_net.hessian, rtol=0, atol=1e-11 * trained_net.scale
    )


@pytest.mark.parametrize("kind", EVERYBODY, ids=lambda k: f"{k.name}-{k.mode}")
def test_peers_leave_the_subject_as_it_was(subject, kind):
    needs(kind)
    before = {k: v.clone() for k, v in subject.model.state_dict().items()}
    kind(subject, 8).products(torch.ones(kind.columns, _size(subject), dtype=torch.float64))
    assert all(p.grad is None for p in subject.model.parameters())
    torch.testing.assert_close(dict(subject.model.state_dict()), before, rtol=0, atol=0)


def test_a_wrong_peer_is_marked_and_named(subject):
    table = compare_products(subject, rounds=1, peers=[ScaledByOnePercent])
    assert table.wrong == ["scaled one"]
    assert table.rows[-1].rel_error == pytest.approx(0.01, rel=1e-6)


def test_a_peer_that_raises_is_left_out_with_its_reason(subject):
    table = compare_products(subject, rounds=1, peers=[Broken])
    assert table.failures == ("broken one failed: RuntimeError: no such operation",)


def test_a_missing_peer_is_left_out_and_its_package_named(subject):
    table = compare_products(subject, rounds=1, peers=[Absent])
    assert [row.peer for row in table.rows] == ["spectra", "spectra"]
    assert peers.missing_packages([Absent, Absent]) == ["absent-package"]


def test_peers_are_imported_only_when_they_run():
    import subprocess
    import sys

    code = (
        "import sys, cli.main; "
        "print([m for m in ('curvlinops', 'hessian_eigenthings') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_ratios_are_over_our_single_product(subject):
    table = compare_products(subject, rounds=2, peers=[])
    one, several = table.rows
    assert (one.mode, several.mode, one.ratio) == ("one", "several", 1.0)
    assert several.ratio == pytest.approx(several.min_ms / one.min_ms)


def test_a_resnet32_product_is_083_gflop():
    subject = random_subject(2, seed=0, dtype=torch.float32, device="cpu")
    # 68.9 million multiply-and-adds a forward pass, two operations each, six passes.
    assert subject.product_flops() / 1e9 == pytest.approx(0.83, abs=0.005)


def test_random_subjects_have_the_running_statistics_of_their_images():
    subject = random_subject(4, seed=0, dtype=torch.float32, device="cpu", architecture="resnet8")
    norm = subject.model.bn1
    outputs = subject.model.conv1(subject.images)
    torch.testing.assert_close(norm.running_mean, outputs.mean(dim=(0, 2, 3)))
    assert (norm.momentum, subject.model.training) == (0.1, False)


def test_the_reference_is_the_exact_extremes(trained_net):
    op = HessianOperator(trained_net.model, trained_net.images, trained_net.labels)
    found = converged_reference(op, make_generator(0, "test"))
    ends = [found.smallest.value, found.largest.value]
    # The residual allows 1e-2; the error is its square over the gap, and λmin of a convex net is
    # zero to within what counts as zero.
    wanted = trained_net.eigenvalues[[0, -1]].tolist()
    assert ends == pytest.approx(wanted, rel=1e-3, abs=1e-4 * trained_net.scale)
    assert found.converged


class Weights(nn.Module):
    """A network whose outputs are its weights, whatever the image."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(size))

    def forward(self, images: Tensor) -> Tensor:
        return self.w.expand(len(images), -1)


@pytest.mark.parametrize("seed", range(8))
def test_the_reference_is_the_lowest_of_two_close_eigenvalues(seed):
    # Without the steps it makes beyond its tolerance, seed 1 ends at -1.
    spectrum = torch.cat(
        [torch.tensor([-1.012, -1.0]), torch.linspace(-0.6, 1, 390), torch.linspace(2, 50, 8)]
    )
    op = HessianOperator(
        Weights(400),
        torch.zeros(3, 1),
        torch.zeros(3, dtype=torch.int64),
        loss=lambda outputs, _: 0.5 * (outputs**2 * spectrum.to(outputs)).sum(1),
        products="double-backward",
        check=False,
    )
    found = converged_reference(op, make_generator(seed, "x"))
    assert found.smallest.value == pytest.approx(-1.012, rel=1e-3)


def test_the_oracle_grants_the_steps_after_which_the_ratio_stays():
    end = ReferenceEnd(1.0, 0.0, 0.0)
    reference = Reference(end, replace(end, value=2.0), (0.1, 0.5, 0.4, 0.499, 0.5), True)
    assert reference.oracle_steps == 4


def test_a_kept_reference_is_not_computed_again(subject, tmp_path, monkeypatch):
    op = subject.operator()
    path = tmp_path / "references.json"
    first = kept_reference(op, digest="d", label=0, file=ReferenceFile(path))
    monkeypatch.setattr("cli.bench.comparison.reference.converged_reference", None)
    assert kept_reference(op, digest="d", label=0, file=ReferenceFile(path)) == first


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match="not a file of bench references"):
        ReferenceFile(tmp_path / "x.json")


def test_the_protocol_counts_what_pyhessian_asks_for(subject, monkeypatch):
    needs(peers.PyHessianDataloader)
    op = subject.operator()
    key = {"seed": 0, "key": "k", "file": ReferenceFile(None)}
    before = op.count.products
    found = count_protocol(op, subject.host(8), **key)
    # One more product was made to compare with PyHessian's.
    assert (op.count.products - before) / 22 == found.eigenvalues + found.trace + 1
    assert found.total == found.eigenvalues + found.trace + 100


def test_accounts_are_products_times_the_time_of_one():
    end = ReferenceEnd(1.0, 0.0, 0.0)
    reference = Reference(end, replace(end, value=2.0), (0.1, 0.5), True)
    result = ClassResult(
        "extremes", "s", 0, 10, 40.0, 0.5, 0.5, 0.0, 0.0, 0.0, reference, ProtocolCount(20, 30)
    )
    ours = ProductRow("spectra", "one", 1, 1.0, 1.0, 1.0, 1.0, 0.0, True, 1.0)
    theirs = replace(ours, peer="pyhessian", mode="dataloader", min_ms=2.0)
    table = ProductTable((ours, theirs), 10, 10, 1, 1, ConvolutionRate(1e9, ""), 1e-8, ())
    rows = {row.protocol: row for row in extremes_rows([result], table)}
    # 10 images, 20 + 30 + 100 products, 2 ms each; ours took 40 image products and .5 s.
    assert rows["reference"].seconds == pytest.approx(3.0)
    assert rows["reference"].ratio_products == pytest.approx(1500 / 40)
    assert rows["oracle"].image_products == 20
    assert rows["100 steps"].ratio_seconds == pytest.approx(4.0)


def test_the_reference_protocol_is_compared_over_the_classes_it_was_counted_on():
    end = ReferenceEnd(1.0, 0.0, 0.0)
    reference = Reference(end, replace(end, value=2.0), (0.1, 0.5), True)
    few = ClassResult(
        "extremes", "s", 0, 10, 40.0, 0.5, 0.5, 0.0, 0.0, 0.0, reference, ProtocolCount(20, 30)
    )
    many = replace(few, label=1, n=1000, image_products=7000.0, seconds=90.0, protocol=None)
    ours = ProductRow("spectra", "one", 1, 1.0, 1.0, 1.0, 1.0, 0.0, True, 1.0)
    theirs = replace(ours, peer="pyhessian", mode="dataloader", min_ms=2.0)
    table = ProductTable((ours, theirs), 10, 10, 1, 1, ConvolutionRate(1e9, ""), 1e-8, ())
    rows = {row.protocol: row for row in extremes_rows([few, many], table)}
    assert (rows["reference"].classes, rows["ours"].classes) == (1, 2)
    assert rows["reference"].ratio_products == pytest.approx(1500 / 40)
    assert rows["reference"].ratio_seconds == pytest.approx(3.0 / 0.5)
    assert "reference" not in {row.protocol for row in extremes_rows([many], table)}


def test_the_protocol_is_not_counted_on_larger_classes_than_asked():
    result = bench(CHECKPOINT, "--what", "extremes", *TINY, "--protocol-images", "1", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert all(c["protocol"] is None for c in found["classes"])
    assert "reference" not in {row["protocol"] for row in found["jobs"]}


def test_json_has_the_promised_keys(tmp_path):
    result = bench(
        CHECKPOINT, "--what", "products,extremes,density", *TINY, "--json",
        "--reference-file", tmp_path / "r.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    products = {"peer", "mode", "min_ms", "median_ms", "ratio", "rel_error"}
    assert all(products <= set(row) for row in found["products"])
    jobs = {
        "job", "peer", "mode", "seconds", "image_products", "ratio_seconds", "ratio_products",
        "max_error",
    }  # fmt: skip
    assert all(jobs <= set(row) for row in found["jobs"])
    assert {row["job"] for row in found["jobs"]} == {"extremes", "density"}
    assert {"cpu", "threads", "torch", "versions"} <= set(found["machine"])
    assert found["conv_peak_fraction"] > 0


def test_trajectory_sums_over_the_checkpoints_of_a_run():
    result = bench(CHECKPOINT, "--what", "trajectory", *TINY, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert len(found["classes"]) == 8
    asked = sum(c["image_products"] for c in found["classes"])
    assert found["jobs"][0]["image_products"] == pytest.approx(asked)


def test_tables_show_every_installed_peer():
    result = bench(CHECKPOINT, "--what", "extremes", *TINY)
    assert result.exit_code == 0, result.output
    assert all(kind.name[:12] in result.stdout for kind in EVERYBODY if kind.installed())


def test_a_wrong_peer_ends_the_command_with_an_error(monkeypatch):
    monkeypatch.setattr(
        plan, "compare_products", functools.partial(compare_products, peers=[ScaledByOnePercent])
    )
    result = bench(CHECKPOINT, *TINY)
    assert result.exit_code == 2
    assert "scaled one" in result.stderr
    assert "WRONG" in result.stdout


def test_a_job_without_a_checkpoint_is_a_users_mistake():
    result = bench("--what", "extremes")
    assert result.exit_code == 2
    assert "need a checkpoint" in result.stderr


def _size(subject: Subject) -> int:
    return sum(p.numel() for p in subject.model.parameters() if p.requires_grad)
