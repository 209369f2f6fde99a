import numpy as np
import pytest
import torch
from known_spectra import HEAVY, density_of, eigenvalues_of_nets, heavy_tailed
from oracles import symmetric_with_spectrum
from scipy.stats import sem
from scipy.stats import t as t_test

from spectra import DenseOperator, InputError, slq, trace_interval


def covered(cases, seeds, **options) -> float:
    hits = []
    for k, eigenvalues in enumerate(cases):
        for seed in range(seeds):
            found = trace_interval(density_of(eigenvalues, "trace", k, seed, **options))
            hits.append(found.lower <= eigenvalues.sum() <= found.upper)
    return float(np.mean(hits))


@pytest.mark.parametrize("num_probes", [1, 2, 4])
def test_interval_of_the_trace_covers_as_often_as_stated(num_probes):
    cases = [heavy_tailed(kind) for kind in HEAVY] + list(eigenvalues_of_nets(1))
    found = covered(cases, 12, num_probes=num_probes)
    # Nominal .95; 72 draws have a standard deviation of .026.
    assert found >= 0.87


@pytest.mark.slow
@pytest.mark.parametrize("num_probes", [1, 2, 4])
@pytest.mark.parametrize("num_steps", [20, 40, 80])
def test_interval_of_the_trace_covers_on_many_nets(num_probes, num_steps):
    cases = list(eigenvalues_of_nets(7)) + [heavy_tailed(kind) for kind in HEAVY]
    # 960 draws: .007.
    assert covered(cases, 40, num_probes=num_probes, num_steps=num_steps) >= 0.92


def test_the_resolved_part_of_the_trace_is_exact():
    # Outliers hold nearly all of it: at two probes the plain mean is off by a factor of two.
    eigenvalues = np.concatenate([np.linspace(-0.1, 0.1, 300), [-7.0, 20.0, 50.0]])
    ours, plain = [], []
    for seed in range(20):
        spectrum = density_of(eigenvalues, seed)
        ours.append(trace_interval(spectrum).estimate - 63)
        plain.append(spectrum.trace - 63)
    # Hutchinson: ‖H‖_F √(2/K) = 54 of the whole, 1.0 of the rest.
    assert np.std(ours) < 1.5
    assert np.std(plain) > 20


def test_a_complete_run_has_the_trace_itself():
    eigenvalues = np.linspace(0.5, 2, 30)
    found = trace_interval(density_of(eigenvalues, num_steps=30, num_probes=1))
    assert found.estimate == pytest.approx(eigenvalues.sum(), rel=1e-12)
    assert found.lower == pytest.approx(found.upper, rel=1e-4)


def test_sign_probes_have_students_interval_from_two_on():
    eigenvalues = np.linspace(-1, 3, 100)
    assert trace_interval(density_of(eigenvalues, num_probes=1, probe="rademacher")) is None
    found = trace_interval(density_of(eigenvalues, num_probes=2, probe="rademacher"))
    # Signs see the trace of a diagonal matrix exactly.
    assert found.lower == pytest.approx(100.0, rel=1e-10)
    assert found.upper == pytest.approx(100.0, rel=1e-10)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_level_must_be_a_probability(level):
    with pytest.raises(InputError, match="level"):
        trace_interval(density_of(np.ones(9)), level)


def test_the_interval_of_sign_probes_is_students():
    op = DenseOperator(symmetric_with_spectrum(torch.linspace(-1, 3, 40).double(), seed=0))
    spectrum = slq(op, num_probes=4, num_steps=8, probe="rademacher")
    each = [40 * float(t.quadrature_weights() @ t.ritz_values()) for t in spectrum.probes]
    expected = t_test.interval(0.9, 3, loc=np.mean(each), scale=sem(each))
    found = trace_interval(spectrum, 0.9)
    assert (found.lower, found.upper) == pytest.approx(expected, rel=1e-9)
