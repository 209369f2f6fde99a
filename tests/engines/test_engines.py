import copy
import sys
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from spectra import (
    ENGINES,
    HessianOperator,
    InputError,
    NonFiniteError,
    PyHessianOperator,
    SolverSettings,
    analyze_loss,
)
from spectra.results.record import row

EVERY = pytest.mark.parametrize("engine", sorted(ENGINES))
PEERS = pytest.mark.parametrize("engine", sorted(set(ENGINES) - {"spectra"}))
SMALL = {"num_probes": 2, "num_steps": 20, "bending": False}


def analyze(net, engine, *, label="8", dtype=torch.float32, model=None, **options):
    op = HessianOperator(
        net.model if model is None else model, net.images, net.labels, dtype=dtype, micro_chunk=9
    )
    settings = SolverSettings(engine=engine, **{**SMALL, **options})
    return analyze_loss(op, label=label, classes=(0, 1, 2), settings=settings)


@EVERY
@pytest.mark.parametrize("kind", ["smooth_mlp", "conv_resnet"])
def test_largest_node_is_the_largest_eigenvalue_within_a_percent(trained_nets, engine, kind):
    net = trained_nets[kind]
    found = analyze(net, engine, num_steps=40)
    # 40 steps converge to rounding on these nets; PyHessian's 1e-6 in every norm costs the rest.
    assert found.spectrum.nodes[-1] == pytest.approx(float(net.eigenvalues[-1]), rel=1e-2)


@EVERY
def test_smallest_node_is_the_smallest_eigenvalue_within_a_percent(net, engine):
    found = analyze(net, engine, num_steps=40)
    assert found.spectrum.nodes[0] == pytest.approx(float(net.eigenvalues[0]), rel=1e-2)


@EVERY
def test_quadrature_has_the_probes_and_steps_that_were_asked_for(net, engine):
    probes = analyze(net, engine).spectrum.probes
    assert [(len(t.alphas), len(t.betas)) for t in probes] == [(20, 19), (20, 19)]


@EVERY
def test_quadrature_weights_sum_to_one(net, engine):
    # Squared entries of an orthogonal matrix's row.
    assert abs(analyze(net, engine).spectrum.weights.sum() - 1) <= 1e-12


@pytest.mark.parametrize(
    ("basis", "why"),
    [("device", "cold start"), ("half", "not bounded below: basis in half precision")],
)
def test_a_basis_in_half_precision_bounds_nothing_from_below(net, basis, why):
    low, _ = analyze(net, "spectra", probe="normal", basis=basis, dtype=torch.float64).certificates
    assert (low.beyond is None) == (basis == "half")
    assert low.why.startswith(why)


def test_a_bound_from_below_with_a_basis_in_half_precision_is_refused():
    with pytest.raises(InputError, match=r"half precision .* use basis"):
        SolverSettings(certify_below=True, basis="half")


def test_bootstrap_of_weighted_images_is_of_the_weighted_loss(net):
    weights = torch.linspace(0.1, 2, len(net.labels), dtype=torch.float64)
    op = HessianOperator(net.model, net.images, net.labels, weights=weights, dtype=torch.float64)
    settings = SolverSettings(num_probes=0)
    found = analyze_loss(op, label="8", classes=(0, 1, 2), settings=settings)
    assert found.bootstrap.smallest.estimate == pytest.approx(found.lambda_min, rel=1e-3)
    assert found.bootstrap.largest.estimate == pytest.approx(found.lambda_max, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 0.01),
        ({"num_probes": 0}, 0.03),
        ({"num_probes": 0, "certify_below": True}, 0.01),
        ({"density_images": "auto"}, 0.03),
        ({"engine": "pyhessian", "density_images": "auto"}, 0.01),
        ({"num_probes": 0, "tol": 0.2}, 0.2),
    ],
)
def test_the_tolerance_is_that_of_the_solver_that_runs(options, expected):
    assert SolverSettings(**options).tolerance.tol == expected


@PEERS
def test_peers_trace_agrees_with_ours(net, engine):
    ours, peer = (analyze(net, e, num_probes=40, num_steps=3) for e in ("spectra", engine))
    errors = [
        f.spectrum.size * f.spectrum.moment_estimates(1).std() / 39**0.5 for f in (ours, peer)
    ]
    spread = np.hypot(*errors)
    # Independent sign probes: a fixed seed, four standard errors of the difference.
    assert abs(ours.spectrum.trace - peer.spectrum.trace) <= 4 * spread


@EVERY
def test_same_seed_gives_the_same_bytes(net, engine):
    a, b = (analyze(net, engine).spectrum for _ in range(2))
    assert a.nodes.tobytes() == b.nodes.tobytes()


@EVERY
def test_another_seed_or_label_gives_other_probes(net, engine):
    nodes = [analyze(net, engine, **o).spectrum.nodes[0] for o in ({}, {"seed": 1}, {"label": "7"})]
    assert len(set(nodes)) == 3


@EVERY
def test_global_generator_is_restored(net, engine):
    before = torch.get_rng_state()
    analyze(net, engine)
    assert torch.equal(torch.get_rng_state(), before)


@EVERY
def test_callers_model_keeps_its_gradients_and_mode(net, engine):
    model = copy.deepcopy(net.model).train()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    gradients = [p.grad for p in model.parameters()]
    analyze(net, engine, model=model)
    assert all(p.grad is g for p, g in zip(model.parameters(), gradients, strict=True))
    assert all(bool((g == 3).all()) for g in gradients)
    assert model.training


@EVERY
def test_no_warning_leaks_and_nothing_is_printed(net, engine, capfd):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        analyze(net, engine)
    assert [str(w.message) for w in caught] == []
    assert tuple(capfd.readouterr()) == ("", "")


def test_torch_gains_no_eig(net):
    before = vars(torch).get("eig")
    analyze(net, "pyhessian")
    assert vars(torch).get("eig") is before


def test_peers_module_has_its_torch_back(net):
    analyze(net, "pyhessian")
    assert sys.modules["pyhessian.hessian"].torch is torch


def test_torch_is_restored_when_the_peer_fails(net, monkeypatch):
    op = HessianOperator(net.model, net.images, net.labels)
    peer = PyHessianOperator(op)

    def fail(*args, **options):
        raise KeyError("peer")

    monkeypatch.setattr(peer.peer, "dataloader_hv_product", fail)
    state = torch.get_rng_state()
    with pytest.raises(KeyError, match="peer"):
        peer.density(num_probes=1, num_steps=3, seed=0)
    assert sys.modules["pyhessian.hessian"].torch is torch
    assert torch.equal(torch.get_rng_state(), state)


def test_peer_leaves_our_operator_as_it_was(net):
    op = HessianOperator(net.model, net.images, net.labels, micro_chunk=9)
    v = torch.ones(op.size)
    before = op.matvec(v)
    PyHessianOperator(op).density(num_probes=1, num_steps=5, seed=0)
    assert torch.equal(op.matvec(v), before)


def test_pyhessian_decides_by_verified_extremes(net):
    ours, theirs = (analyze(net, engine) for engine in ("spectra", "pyhessian"))
    assert theirs.verdict.name == ours.verdict.name
    # Two float32 products and two random starts; residuals are below 1 % of either end.
    assert theirs.lambda_min == pytest.approx(ours.lambda_min, rel=1e-3)


def test_pyhessian_on_a_small_hessian_shows_nodes_that_the_extremes_refute(net):
    # Its Lanczos adds 1e-6 to every norm: on so small a Hessian its vectors are no unit vectors.
    def small(outputs, labels):
        return 1e-5 * torch.nn.functional.cross_entropy(outputs, labels, reduction="none")

    op = HessianOperator(net.model, net.images, net.labels, loss=small)
    settings = SolverSettings(engine="pyhessian", num_probes=1, num_steps=40)
    found = analyze_loss(op, label="small", classes=(0, 1, 2), settings=settings)
    own = analyze_loss(op, label="small", classes=(0, 1, 2), settings=SolverSettings())
    assert found.lambda_max == pytest.approx(own.lambda_max, rel=1e-3)
    assert abs(found.spectrum.nodes[-1] / found.lambda_max - 1) > 0.01


@PEERS
def test_every_engine_gives_the_same_columns(net, engine):
    assert list(row(analyze(net, engine))) == list(row(analyze(net, "spectra")))


@PEERS
def test_what_does_not_depend_on_the_engine_is_equal(net, engine):
    a, b = (analyze(net, e) for e in ("spectra", engine))
    for key in ("n", "loss", "fit_accuracy", "grad_norm", "classes", "factor"):
        assert getattr(a, key) == getattr(b, key)


def test_density_does_not_depend_on_how_far_the_extremes_went(net):
    short = analyze(net, "spectra", num_steps=5, max_steps=5).spectrum
    long = analyze(net, "spectra", num_steps=5, max_steps=60, tol=1e-6).spectrum
    assert short.nodes.tobytes() == long.nodes.tobytes()


def test_a_loss_alone_gets_the_probes_that_it_gets_among_others(net):
    alone = analyze(net, "spectra", num_probes=1).spectrum.probes[0]
    among = analyze(net, "spectra", num_probes=3).spectrum.probes[0]
    np.testing.assert_array_equal(alone.alphas, among.alphas)


def test_unknown_engine_is_refused_with_the_known_ones(net):
    with pytest.raises(InputError, match="engine must be one of spectra, pyhessian"):
        analyze(net, "hutchinson")


@EVERY
@pytest.mark.parametrize("options", [{"num_steps": 0}, {"num_probes": -1}])
def test_numbers_out_of_range_are_refused(net, engine, options):
    with pytest.raises(InputError):
        analyze(net, engine, **options)


def nan_for_label_two(outputs, labels):
    factor = torch.where(labels == 2, float("nan"), 1.0)
    return factor * F.cross_entropy(outputs, labels, reduction="none")


@EVERY
def test_a_non_finite_product_names_the_class(net, engine):
    op = HessianOperator(net.model, net.images, net.labels, loss=nan_for_label_two, check=False)
    with pytest.raises(NonFiniteError, match="class 8"):
        analyze_loss(op, label="8", classes=(2,), settings=SolverSettings(engine=engine, **SMALL))


@pytest.mark.parametrize("name", ["num_probes", "num_steps", "max_steps", "top"])
@pytest.mark.parametrize("value", [-1, 10**6 + 1, 10**20])
def test_numbers_that_no_run_ends_with_are_refused(name, value):
    with pytest.raises(InputError, match=rf"^{name} must be in [01]\.\.1,000,000, got {value}$"):
        SolverSettings(**{name: value})
