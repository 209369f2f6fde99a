"""The statements and the verdicts against points whose dense Hessian is known."""

from collections import Counter
from dataclasses import dataclass

import pytest
import torch
from known_nets import TAU, KnownCase, known_cases

from spectra import HessianOperator, Lanczos, Verdict, decide, draw_probe, make_generator
from spectra.findings.certificates import LARGEST, SMALLEST, Certificate, rounding_bound
from spectra.findings.verdict import NEGATIVE, NOT_NEGATIVE, UNDECIDED
from spectra.krylov.defaults import FLOOR, TOLERANCE
from spectra.krylov.outer_bounds import outer_bounds

FAILURE = 0.05


@dataclass(frozen=True)
class Outcome:
    """What was said of a case."""

    case: KnownCase
    smallest: Certificate
    largest: Certificate
    verdict: Verdict


def certify(op: HessianOperator, run: Lanczos, which: str) -> Certificate:
    """Certify an end of a cold float64 run by one product more, chunk by chunk."""
    t = run.tridiagonal()
    y = run.ritz_vector(t.ritz_coefficients()[:, 0 if which == SMALLEST else -1])
    pieces = [op.chunk_product(chunk, y).double() for chunk in op.chunks()]
    product = torch.stack(pieces).sum(0) / op.total_weight
    value = float(y @ product)
    limits = outer_bounds(t, op.size, FAILURE)
    return Certificate(
        which=which,
        value=value,
        rounding=rounding_bound(
            sum(float(piece.norm()) for piece in pieces) / op.total_weight,
            float(abs(t.ritz_values()).max()),
        ),
        residual=float((product - value * y).norm()),
        proven=True,
        beyond=limits.below if which == SMALLEST else limits.above,
        confidence=1 - FAILURE,
        why=f"cold start, {len(run)} steps",
    )


def judge(index: int, case: KnownCase) -> Outcome:
    op = HessianOperator(
        case.model,
        case.images,
        case.labels,
        loss=case.loss,
        dtype=torch.float64,
        micro_chunk=11,  # two chunks to add up
        products="double-backward",
        check=False,
    )
    generator = make_generator(index, "cold start")
    run = Lanczos(op, draw_probe(op.size, probe="normal", generator=generator)).run(case.steps)
    t = run.tridiagonal()
    values, residuals = t.ritz_values(), t.residual_bounds()
    allowed = [max(TOLERANCE * abs(v), FLOOR * abs(values).max()) for v in values]
    smallest, largest = certify(op, run, SMALLEST), certify(op, run, LARGEST)
    verdict = decide(
        lambda_min=smallest.value,
        lambda_max=largest.value,
        grad_norm=float(op.gradient().norm()),
        converged=bool(residuals[0] <= allowed[0] and residuals[-1] <= allowed[-1]),
        largest_converged=bool(residuals[-1] <= allowed[-1]),
        tau=TAU,
        rounding=max(smallest.rounding, largest.rounding),
        residual_max=largest.residual,
        lower_bound=smallest.beyond,
        upper_bound=largest.beyond,
    )
    return Outcome(case, smallest, largest, verdict)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(range(0, 40), id="40"),
        pytest.param(range(0, 200), id="200", marks=pytest.mark.slow),
    ],
)
def outcomes(request) -> list[Outcome]:
    return [judge(i, c) for i, c in zip(request.param, known_cases(request.param), strict=True)]


def named(outcomes: list[Outcome], *names: str) -> int:
    return sum(o.verdict.name in names for o in outcomes)


def violations(outcomes: list[Outcome]) -> list[Outcome]:
    """Return where an eigenvalue lies beyond a bound; bounds allow for rounding themselves."""
    return [
        o
        for o in outcomes
        if o.case.lambda_min < o.smallest.beyond or o.case.lambda_max > o.largest.beyond
    ]


def test_every_family_is_there(outcomes, capsys):
    counts = Counter(
        (o.case.family, "negative" if o.case.is_negative else "not negative", o.verdict.name)
        for o in outcomes
    )
    with capsys.disabled():
        print()
        for (family, truth, name), count in sorted(counts.items()):
            print(f"  {family:10} {truth:12} named {name:24} {count:4}")
        print(f"  statement (iii) violated in {len(violations(outcomes))} of {len(outcomes)}")
    # At least 60 of 200 are nets with negative curvature.
    assert sum(o.case.is_negative for o in outcomes if o.case.family == "net") >= 0.3 * len(
        outcomes
    )
    assert {o.case.family for o in outcomes} == {"net", "softmax", "hair", "quadratic", "psd"}


def test_every_point_is_stationary(outcomes):
    for o in outcomes:
        # ρ* is 2‖g‖/|λmin|: a gradient of rounding alone.
        assert (
            o.verdict.critical_radius is None
            or o.verdict.critical_radius < 1e-6
            or (abs(o.case.lambda_min) < 1e-9 * o.case.lambda_max)
        )


def test_negative_curvature_is_never_seen_where_there_is_none(outcomes):
    wrong = [o for o in outcomes if o.verdict.name == NEGATIVE and not o.case.is_negative]
    assert wrong == []


def test_negative_curvature_is_not_denied_but_by_the_stated_chance(outcomes):
    wrong = [o for o in outcomes if o.verdict.name == NOT_NEGATIVE and o.case.is_negative]
    assert len(wrong) <= FAILURE * len(outcomes)


def test_clear_negative_curvature_is_named(outcomes):
    clear = [o for o in outcomes if o.case.lambda_min < -10 * TAU * o.case.lambda_max]
    assert named(clear, NEGATIVE) >= 0.95 * len(clear)


def test_where_there_is_none_that_is_said(outcomes):
    others = [o for o in outcomes if not o.case.is_negative]
    assert named(others, NOT_NEGATIVE) >= 0.8 * len(others)


def test_few_are_left_undecided(outcomes):
    assert named(outcomes, UNDECIDED) <= 0.2 * len(outcomes)


# The oracle's own rounding is some 1e-15 of λmax; δ is 1e-12 of it, so no allowance is made.
def test_a_rayleigh_quotient_bounds_the_extreme(outcomes):
    for o in outcomes:
        assert o.case.lambda_min <= o.smallest.attained
        assert o.case.lambda_max >= o.largest.attained


def test_an_eigenvalue_lies_within_the_residual(outcomes):
    for o in outcomes:
        for c in (o.smallest, o.largest):
            nearest = float((o.case.eigenvalues - c.value).abs().min())
            assert nearest <= c.residual + c.rounding


def test_nothing_lies_beyond_but_by_the_stated_chance(outcomes):
    assert len(violations(outcomes)) <= FAILURE * len(outcomes)
