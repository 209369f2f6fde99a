"""Products of ours and of peers: right ones against a dense Hessian, wrong ones caught."""

import pytest
import torch
from bench_parts import EVERYBODY, ScaledByOnePercent, needs, workload_of
from oracles import random_vector

from cli.bench.comparison import peer_libraries as peers
from cli.bench.comparison.product_table import compare_products
from cli.bench.workload import Workload, random_workload


class Broken(peers.Ours):
    name, mode = "broken", "one"

    def products(self, vectors):
        raise RuntimeError("no such\noperation")


class Absent(peers.Ours):
    name, mode, package, module = "absent", "one", "absent-package", "absent_module"


@pytest.mark.parametrize("kind", EVERYBODY, ids=lambda k: f"{k.name}-{k.mode}")
@pytest.mark.parametrize("batch", [22, 8], ids=["one-batch", "ragged"])
def test_products_of_everybody_are_those_of_the_dense_hessian(trained_net, kind, batch):
    needs(kind)
    vectors = torch.stack([random_vector(len(trained_net.hessian), i) for i in range(kind.columns)])
    found = kind(workload_of(trained_net), batch).products(vectors)
    # float64 products on nets of a few hundred parameters: rounding is below 1e-13.
    torch.testing.assert_close(
        found, vectors @ trained_net.hessian, rtol=0, atol=1e-11 * trained_net.scale
    )


@pytest.mark.parametrize("kind", EVERYBODY, ids=lambda k: f"{k.name}-{k.mode}")
def test_peers_leave_the_subject_as_it_was(workload, kind):
    needs(kind)
    before = {k: v.clone() for k, v in workload.model.state_dict().items()}
    kind(workload, 8).products(torch.ones(kind.columns, _size(workload), dtype=torch.float64))
    assert all(p.grad is None for p in workload.model.parameters())
    torch.testing.assert_close(dict(workload.model.state_dict()), before, rtol=0, atol=0)


def test_a_wrong_peer_is_marked_and_named(workload):
    table = compare_products(workload, rounds=1, peers=[ScaledByOnePercent])
    assert table.wrong == ["scaled one"]
    assert table.rows[-1].rel_error == pytest.approx(0.01, rel=1e-6)


def test_everybody_is_built_and_asked_in_full_float32(workload):
    """A graph of gradients that was built with TF32 allowed gave products 4 % off on a card."""
    seen = []

    class Watched(peers.Ours):
        name, mode = "watched", "one"

        def __init__(self, workload, batch):
            seen.append(("built", _precision_of_convolutions()))
            super().__init__(workload, batch)

        def products(self, vectors):
            seen.append(("asked", _precision_of_convolutions()))
            return super().products(vectors)

    before = torch._C._get_fp32_precision_getter("mkldnn", "conv")
    torch._C._set_fp32_precision_setter("mkldnn", "conv", "bf16")
    try:
        compare_products(workload, rounds=1, peers=[Watched])
    finally:
        torch._C._set_fp32_precision_setter("mkldnn", "conv", before)
    assert set(seen) == {("built", "ieee"), ("asked", "ieee")}


def _precision_of_convolutions() -> str:
    return torch._C._get_fp32_precision_getter("mkldnn", "conv")


def test_rounds_end_where_the_seconds_do(workload):
    assert compare_products(workload, rounds=50, peers=[], seconds=0.0).rounds == 1
    assert compare_products(workload, rounds=2, peers=[]).rounds == 2


def test_a_peer_that_raises_is_left_out_with_its_reason(workload):
    table = compare_products(workload, rounds=1, peers=[Broken])
    assert table.failures == ("broken one failed: RuntimeError: no such operation",)


def test_a_missing_peer_is_left_out_and_its_package_named(workload):
    table = compare_products(workload, rounds=1, peers=[Absent])
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


def test_ratios_are_over_our_single_product(workload):
    table = compare_products(workload, rounds=2, peers=[])
    one, several = table.rows
    assert (one.mode, several.mode, one.ratio) == ("one", "several", 1.0)
    assert several.ratio == pytest.approx(several.min_ms / one.min_ms)


def test_a_resnet32_product_is_083_gflop():
    workload = random_workload(2, seed=0, dtype=torch.float32, device="cpu")
    # 68.9 million multiply-and-adds a forward pass, two operations each, six passes.
    assert workload.product_flops() / 1e9 == pytest.approx(0.83, abs=0.005)


def test_random_workloads_have_the_running_statistics_of_their_images():
    workload = random_workload(4, seed=0, dtype=torch.float32, device="cpu", architecture="resnet8")
    norm = workload.model.bn1
    outputs = workload.model.conv1(workload.images)
    torch.testing.assert_close(norm.running_mean, outputs.mean(dim=(0, 2, 3)))
    assert (norm.momentum, workload.model.training) == (0.1, False)


def _size(workload: Workload) -> int:
    return sum(p.numel() for p in workload.model.parameters() if p.requires_grad)
