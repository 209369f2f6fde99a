"""The gallery of networks: what each is, and what is said of its cost."""

import json

import pytest
import torch
from click.testing import CliRunner

from cli.bench.gallery import whole_costs
from cli.bench.gallery.subjects import NETWORKS, Subject, chosen_names, make_subject
from cli.bench.gallery.whole_costs import RetainedGraph, WholeCost, compare_subject
from cli.main import cli
from spectra import HessianOperator, InputError


def bench(*arguments: object):
    return CliRunner().invoke(cli, ["bench", *[str(a) for a in arguments]])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_the_gallery_is_small_and_gives_ten_finite_outputs(name):
    subject = make_subject(name, num_samples=4)
    assert 1e4 <= subject.num_parameters <= 2e5
    with torch.no_grad():
        outputs = subject.model(subject.inputs)
    assert outputs.shape == (4, 10)
    assert outputs.isfinite().all()
    assert not subject.model.training


def test_a_subject_is_the_same_again_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    one, other = make_subject("mlp", num_samples=4), make_subject("mlp", num_samples=4)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.testing.assert_close(one.model.state_dict(), other.model.state_dict(), rtol=0, atol=0)
    assert torch.equal(one.inputs, other.inputs)


def test_the_peers_product_is_that_of_the_operator():
    subject = make_subject("mlp", num_samples=6)
    op = HessianOperator(subject.model, subject.inputs, subject.labels, dtype=torch.float64)
    v = torch.ones(op.size, dtype=torch.float64)
    # Two ways in float64 over six samples: rounding is some 1e-15.
    torch.testing.assert_close(
        RetainedGraph(subject, torch.float64).matvec(v), op.matvec(v), rtol=1e-10, atol=1e-13
    )


def test_a_row_holds_both_times_and_errors():
    row = compare_subject(make_subject("mlp", num_samples=8), 2, num_products=2)
    assert row.agrees
    assert row.remark == ""
    for cost in (row.ours, row.peer):
        assert 0 < cost.build < cost.shortest <= cost.median
        assert cost.error < 1e-4
    assert row.ratio == row.ours.shortest / row.peer.shortest


def test_a_peer_that_runs_under_a_setting_alone_is_labelled(monkeypatch):
    monkeypatch.setattr(whole_costs, "_ours", refuse)
    row = compare_subject(make_subject("vit", num_samples=2), 1, num_products=1)
    assert row.peer is not None
    assert row.remark == "ours: InputError: not today; PyHessian with plain attention"
    assert (row.way, row.ours, row.ratio) == ("refused", None, None)


def test_a_network_whose_fused_kernel_is_in_the_way_is_compared_without_it(monkeypatch):
    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, gradient):
            return 2 * gradient

    class Doubling(torch.nn.Module):
        def forward(self, x):
            return Fused.apply(x) if torch.backends.mkldnn.enabled else 2 * x

    net = torch.nn.Sequential(torch.nn.Linear(3, 2), Doubling()).eval()
    subject = Subject("fused", net, torch.ones(4, 3), torch.arange(4) % 2)
    monkeypatch.setattr(whole_costs, "_ours", refuse)
    monkeypatch.setattr(whole_costs, "_float64_product", lambda subject, v: v.double())
    row = compare_subject(subject, 1, num_products=1)
    assert row.remark == "ours: InputError: not today; PyHessian with mkldnn off"


def test_a_wrong_product_is_named_and_ends_the_command_with_an_error(monkeypatch):
    monkeypatch.setattr(whole_costs, "_ours", doubled)
    result = bench("--arch", "mlp", "--rounds", 1)
    assert result.exit_code == 2
    assert "products differ from float64: mlp" in result.stderr
    assert "WRONG" in result.stdout


def test_refused_networks_and_then_the_worst_ratio_come_first(monkeypatch):
    seconds = {"mlp": 1.0, "vit": 3.0, "gpt": None, "lstm": 2.0}

    def row(subject, rounds, *rest):
        mine = seconds[subject.name]
        ours = None if mine is None else WholeCost(0, mine, mine, 0)
        return whole_costs.GalleryRow(subject.name, 1, "", ours, WholeCost(0, 1, 1, 0), "", True)

    monkeypatch.setattr(whole_costs, "compare_subject", row)
    found = whole_costs.compare_gallery(list(seconds))
    assert [one.name for one in found] == ["gpt", "vit", "lstm", "mlp"]


def test_the_command_prints_json():
    result = bench("--arch", "mlp", "--rounds", 1, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    (row,) = found["networks"]
    assert {"name", "way", "ratio", "ratio_medians", "ours", "peer", "remark"} <= set(row)
    assert found["machine"]["threads"] == 1


def test_names_are_one_several_or_all():
    assert chosen_names("all") == tuple(NETWORKS)
    assert chosen_names("vit, mlp") == ("vit", "mlp")
    for word in ("alexnet", ""):
        with pytest.raises(InputError, match=r"--arch must be one of bn-resnet, .*, or all; got"):
            chosen_names(word)


def test_arch_goes_with_products_alone():
    result = bench("--arch", "mlp", "--what", "extremes")
    assert result.exit_code == 2
    assert "--arch without a CHECKPOINT goes with --what products" in result.stderr


def refuse(subject, dtype):
    raise InputError("not today")


class Doubled:
    def __init__(self, op):
        self.op, self.choice = op, op.choice

    def matvec(self, v):
        return 2 * self.op.matvec(v)


def doubled(subject, dtype):
    return Doubled(HessianOperator(subject.model, subject.inputs, subject.labels, dtype=dtype))
