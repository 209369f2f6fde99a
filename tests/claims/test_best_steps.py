import pytest
import torch
from oracles import QuadraticNet, first_output, random_vector, symmetric_with_spectrum
from scipy.stats import spearmanr

from spectra import Eigenpair, HessianOperator, InputError, best_steps
from spectra.findings.claims.best_steps import BestStep
from spectra.findings.claims.rank_correlation import rank_correlation
from spectra.results.claims.best_steps_result import (
    BestStepsProtocol,
    BestStepsResult,
    StepsOfLoss,
)
from spectra.results.directions.theorem_result import MeasuredAt

DOUBLE = torch.float64
EIGENVALUES = torch.tensor([-2.0, -0.5, 0.3, 1.0, 4.0], dtype=DOUBLE)


@pytest.fixture(scope="module")
def quadratic() -> HessianOperator:
    matrix = symmetric_with_spectrum(EIGENVALUES, seed=1)
    net = QuadraticNet(matrix, random_vector(5, "point"), random_vector(5, "slope"))
    labels = torch.zeros(2, dtype=torch.int64)
    return HessianOperator(net, torch.zeros(2, 1), labels, loss=first_output, dtype=DOUBLE)


def pairs_of(op: HessianOperator) -> list[Eigenpair]:
    values, vectors = torch.linalg.eigh(op.dense())
    rows = zip(values.tolist(), vectors.T, strict=True)
    return [Eigenpair(value, v, 0.0, True) for value, v in rows]


def test_along_positive_curvature_of_a_parabola_the_best_step_is_the_models(quadratic):
    for found in best_steps(quadratic, pairs_of(quadratic)[2:], reach=100.0):
        # Brent's method ends within 1e-2 of the step, by a parabola far nearer.
        assert found.over_model == pytest.approx(1, rel=1e-2)
        assert found.rate == pytest.approx(1 / found.value, rel=1e-2)
        assert found.decrease == pytest.approx(found.slope**2 / 2 / found.value, rel=1e-4)
        assert found.measurable
        assert not found.at_limit


def test_along_negative_curvature_of_a_parabola_the_loss_falls_to_the_limit(quadratic):
    for found in best_steps(quadratic, pairs_of(quadratic)[:2], reach=100.0):
        assert (found.step, found.at_limit) == (100.0, True)
        expected = 100 * found.slope - found.value * 100**2 / 2
        assert found.decrease == pytest.approx(expected, rel=1e-10)


def test_the_lowest_point_is_found_on_the_side_to_which_the_loss_rises_at_first():
    def loss(outputs, labels):
        t = outputs[:, 0]
        return t**4 / 4 - t**2 / 2 - 0.01 * t + (t < -0.3) * 2 * (t + 0.3)

    net = torch.nn.Linear(1, 1, bias=False).double()
    torch.nn.init.zeros_(net.weight)
    op = HessianOperator(net, torch.ones(2, 1).double(), torch.zeros(2, dtype=torch.int64),
                         loss=loss, dtype=DOUBLE, check=False)  # fmt: skip
    pair = Eigenpair(-1.0, torch.ones(1, dtype=DOUBLE), 0.0, True)
    (found,) = best_steps(op, [pair], reach=3.0)
    assert found.step == pytest.approx(-1.533, abs=0.05)  # the slope there is t³ - t + 1.99


def test_a_reach_that_is_not_positive_is_refused(quadratic):
    with pytest.raises(InputError, match="reach must be positive"):
        best_steps(quadratic, pairs_of(quadratic)[:1], reach=0.0)


def test_ranks_correlate_as_scipy_says():
    one, other = random_vector(20, "one").tolist(), random_vector(20, "other").tolist()
    other[3] = other[4]  # a tie
    found = rank_correlation(one, other)
    assert found.estimate == pytest.approx(spearmanr(one, other).statistic, abs=1e-12)
    assert found.lower < found.estimate < found.upper


def test_the_interval_of_a_rank_correlation_holds_the_truth_as_often_as_it_says():
    # Of independent numbers the truth is 0; 400 draws of .95 have a standard error of .011.
    held = 0
    for k in range(400):
        held += rank_correlation(
            random_vector(12, "x", k).tolist(), random_vector(12, "y", k).tolist()
        ).says_nothing
    assert held / 400 >= 0.95 - 3 * 0.011


@pytest.mark.parametrize(("count", "lower"), [(4, -1.0), (5, -0.2)])
def test_few_pairs_say_little(count, lower):
    found = rank_correlation(list(range(count)), [*range(1, count), 0])
    assert found.lower <= lower
    assert rank_correlation([1.0] * count, list(range(count))) is None


def test_a_result_counts_steps_near_the_models_and_steps_against_the_slope():
    near = BestStep(2.0, 0.0, 1.0, 0.5, 0.25, at_limit=False, measurable=True)
    far = BestStep(-2.0, 0.0, 1.0, -5.0, 0.5, at_limit=True, measurable=True)
    lost = BestStep(-1.0, 0.0, 1.0, 0.0, 0.0, at_limit=False, measurable=False)
    loss = StepsOfLoss("8", 4, 1.0, 2.0, 5.0, converged=True, steps=(far, lost, near))
    protocol = BestStepsProtocol("plain", "train", "ce", None, 2, 0)
    result = BestStepsResult(MeasuredAt("net", 3), protocol, (loss,))
    assert (result.over_model(1), result.over_model(-1)) == ((1.0,), (10.0,))
    assert (result.against_slope(1), result.against_slope(-1)) == (0, 1)
    assert (loss.best_decrease(1), loss.best_decrease(-1)) == (0.25, 0.5)
    assert "in 1 of 1 losses" in result.sentence
    assert "|⟨g, v⟩|/|λ| in 1 of 1 (median 1 times" in result.sentence
    assert "|⟨g, v⟩|/|λ| in 0 of 1 (median 10 times" in result.sentence
    assert loss.correlation(-1) is None
