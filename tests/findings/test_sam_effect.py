"""What SAM does to a step along v_min: exact on quadratics, and in words."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import QuadraticNet, first_output, random_vector, symmetric_with_spectrum

from spectra import HessianOperator, InputError
from spectra.findings.confidence import Interval
from spectra.findings.sam.sam_effect import (
    SamEffect,
    _times_more,
    next_step_over_radii,
    sentence_over_radii,
)
from spectra.findings.sam.sam_slopes import sam_effects, with_batches
from spectra.findings.sam.slope_change import STRENGTHENS, WEAKENS, SlopeChange
from spectra.findings.sharpness import Amplification, BatchProjections, batch_projections

DOUBLE = torch.float64
EIGENVALUES = torch.tensor([-2.0, -0.5, 0.3, 1.0, 4.0], dtype=DOUBLE)
MATRIX = symmetric_with_spectrum(EIGENVALUES, seed=1)
LOWEST = torch.linalg.eigh(MATRIX).eigenvectors[:, 0]


@pytest.fixture
def quadratic() -> HessianOperator:
    """½ wᵀAw + bᵀw, the same for each of four images."""
    net = QuadraticNet(MATRIX, random_vector(5, "point"), random_vector(5, "slope"))
    labels = torch.zeros(4, dtype=torch.int64)
    return HessianOperator(net, torch.zeros(4, 1), labels, loss=first_output, dtype=DOUBLE)


def test_on_a_quadratic_sam_weakens_and_beyond_the_critical_radius_strengthens(quadratic):
    size = float(quadratic.gradient().norm())
    critical = 2 * size / 2.0  # ρ* = 2‖g‖/|λ|
    rhos = [0.5 * critical, 0.75 * critical, 1.5 * critical]
    effects = sam_effects(quadratic, LOWEST, -2.0, rhos, label="8")
    # 1 + ρλ/‖g‖: 0 at half of ρ*, -1/2 and -2.
    expected = [1 + rho * -2.0 / size for rho in rhos]
    assert [effect.predicted for effect in effects] == pytest.approx(expected, abs=1e-12)
    for effect, exact in zip(effects, expected, strict=True):
        # ulp of the slopes' sums; all images agree, so nothing is in doubt.
        assert effect.own.factor.estimate == pytest.approx(abs(exact), abs=1e-10)
        assert effect.own.confidence == 1
    assert [effect.name for effect in effects] == [WEAKENS, WEAKENS, STRENGTHENS]
    assert [effect.own.turned for effect in effects[1:]] == [True, True]
    g = quadratic.gradient()
    after = float((g + rhos[2] * MATRIX @ g / size).norm()) / size
    assert effects[2].growth == pytest.approx(after, rel=1e-10)
    whole = f", while the whole gradient becomes {after:.2g} times as large"
    assert effects[2].sentence == (
        f"class 8: at ρ {rhos[2]:.3g} SAM strengthens the step along v_min 2 times and turns it "
        "round (confidence over 99.9 %; 95 %: 2 to 2 times): the slope goes from "
        f"{effects[2].slope(effects[2].own.plain, 0)} of ‖g‖ to "
        f"{effects[2].slope(effects[2].own.sam, 0)}{whole}. First order in ρ says the same, "
        "1 + ρλ/‖g‖ = -2."
    )


class Signs(torch.nn.Module):
    """The output of image x is x·w: the slope of an image is x."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([1.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.w


def linear(values: list[float], **options) -> HessianOperator:
    labels = torch.zeros(len(values), dtype=torch.int64)
    return HessianOperator(
        Signs(), torch.tensor(values)[:, None], labels, loss=first_output, dtype=DOUBLE,
        check=False, **options,
    )  # fmt: skip


def effect_of(op: HessianOperator, **options) -> SamEffect:
    return sam_effects(op, torch.ones(1), 0.0, [0.1], label="8", **options)[0]


def test_views_of_an_image_count_as_one_draw():
    values = [1.0, 1.2, 3.0, 3.2, 5.0, 5.2]
    single, paired = effect_of(linear(values)).own, effect_of(linear(values), views=2).own
    assert (single.draws, paired.draws) == (6, 3)
    assert paired.plain == pytest.approx(single.plain)
    assert paired.plain_error == pytest.approx(2 / 3**0.5)  # of 1.1, 3.1, 5.1


def test_an_image_without_weight_says_nothing():
    found = effect_of(linear([1.0, 2.0, 9.0], weights=torch.tensor([1.0, 1.0, 0.0]))).own
    assert found.plain == pytest.approx(1.5)


def test_weight_decay_is_a_part_of_every_slope():
    op = linear([1.0, 2.0], weight_decay=0.5)
    found = effect_of(op).own
    assert found.plain == pytest.approx(1.5 + 0.5)  # w = 1
    assert found.sam == pytest.approx(1.5 + 0.5 * 1.1)


@pytest.mark.parametrize("rhos", [[], [0.0], [float("nan")]])
def test_radii_that_are_none_are_refused(rhos, quadratic):
    with pytest.raises(InputError, match="rho must be positive"):
        sam_effects(quadratic, LOWEST, -2.0, rhos, label="8")


def change(plain=1.0, plain_error=0.1, sam=3.0, sam_error=0.3, **fields) -> SlopeChange:
    factor = Interval(2.5, abs(sam / plain), 3.5, 0.95)
    given = {"draws": 50, "confidence": 0.99, "factor": factor} | fields
    return SlopeChange(
        plain=plain, plain_error=plain_error, sam=sam, sam_error=sam_error, **given
    )  # fmt: skip


def effect(own: SlopeChange | None = None, **fields) -> SamEffect:
    given = {"predicted": 0.9, "own": own or change()} | fields
    return SamEffect("8", 0.1, -2.0, 100.0, **given)


def squares(estimate: float, theorem: float) -> Amplification:
    interval = Interval(0.8 * estimate, estimate, 1.25 * estimate, 0.95)
    return Amplification(0.1, interval, interval, theorem, False)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            effect(),
            "class 8: at ρ 0.1 SAM strengthens the step along v_min 3 times (confidence 99 %; "
            "95 %: 2.5 to 3.5 times): the slope goes from 1 ± 0.1 % of ‖g‖ to 3 ± 0.3 %. First "
            "order in ρ says 1 + ρλ/‖g‖ = 0.9, which does not hold over a step of ρ.",
        ),
        (
            effect(change(sam=0.8, factor=Interval(0.7, 0.8, 0.95, 0.95))),
            "class 8: at ρ 0.1 SAM weakens the step along v_min by 20 % (confidence 99 %; 95 %: "
            "0.7 to 0.95 times): the slope goes from 1 ± 0.1 % of ‖g‖ to 0.8 ± 0.3 %. First order "
            "in ρ says the same, 1 + ρλ/‖g‖ = 0.9.",
        ),
        (
            effect(change(sam=0.1, factor=Interval(0.05, 0.1, 0.2, 0.95))),
            "class 8: at ρ 0.1 SAM weakens the step along v_min to 0.1 of it (confidence 99 %; "
            "95 %: 0.05 to 0.2 times): the slope goes from 1 ± 0.1 % of ‖g‖ to 0.1 ± 0.3 %. First "
            "order in ρ says 1 + ρλ/‖g‖ = 0.9, which does not hold over a step of ρ.",
        ),
        (
            effect(change(factor=None)),
            "class 8: at ρ 0.1 SAM strengthens the step along v_min (confidence 99 %): the slope "
            "goes from 1 ± 0.1 % of ‖g‖ to 3 ± 0.3 %; the first is not told from 0, so there is no "
            "factor.",
        ),
        (
            effect(change(confidence=0.6, factor=None)),
            "class 8: whether SAM at ρ 0.1 strengthens or weakens the step along v_min cannot be "
            "said: over these 50 images the slope there goes from 1 ± 0.1 % of ‖g‖ to 3 ± 0.3 %; "
            "other images of the class may say the opposite.",
        ),
        (
            effect(change(sam=1.0, factor=Interval(0.999, 1.0, 1.001, 0.95))),
            "class 8: at ρ 0.1 SAM does not change the step along v_min by more than 1 %.",
        ),
        (
            effect(change(0.99, 0.0, 3.0, 0.0, draws=1, confidence=None, factor=None)),
            "class 8: at ρ 0.1 the slope along v_min goes from 0.99 % of ‖g‖ to 3 %; of one image "
            "nobody can say how sure that is.",
        ),
    ],
    ids=["stronger", "weaker", "much weaker", "without a factor", "open", "the same", "one image"],
)
def test_a_sentence_says_what_sam_does_and_how_sure_that_is(found, said):
    assert found.sentence == said


@pytest.mark.parametrize(
    ("batches", "square", "said"),
    [
        (
            change(), squares(7.55, 1.0),
            "becomes 7.5 times as large (95 %: 6 to 9.4), 34 % of which is noise, and the mean 3 "
            "times as large. The theorem's (1+ρλ)² = 1 is another thing: it takes v_min for an "
            "eigenvector of every batch, and the ascent for ρg.",
        ),
        (
            change(confidence=0.5, sam_error=30, factor=None), squares(7.55, 8.0),
            "becomes 7.5 times as large (95 %: 6 to 9.4), 100 % of which is noise, and what "
            "becomes of the mean cannot be said.",
        ),
        (
            change(factor=None), squares(7.55, 8.0),
            "34 % of which is noise, and SAM strengthens the mean, which without it is not told "
            "from 0.",
        ),
        (change(), squares(1.04, 1.0), "the mean square of the slope changes by 4 %."),
    ],
    ids=["another thing than the theorem", "noise", "from noise", "hardly"],
)  # fmt: skip
def test_a_sentence_says_why_batches_differ_from_the_theorem(batches, square, said):
    found = effect(batches=batches, squares=square, batch_size=128)
    assert "Over mini-batches of 128 of all images the mean square of the slope" in found.sentence
    assert found.sentence.endswith(said)


def test_a_convex_loss_is_said_to_have_no_step_along_negative_curvature():
    convex = SamEffect("8", 0.1, 4e-14, 100.0, 1.0, change(), lambda_max=2.0, residual=1e-9)
    assert (convex.bends_down, convex.name) == (False, "open")
    assert convex.sentence == (
        "class 8 has no negative curvature to speak of (λmin 4e-14, λmax 2), so there is no step "
        "along it."
    )
    assert convex.next_step == "Another class, or other weights."
    assert sentence_over_radii([convex, replace(convex, rho=0.5)]) == convex.sentence
    # Where v_min is not known beside τ λmax, something lower may have been missed.
    assert "v_min has not converged" in replace(convex, residual=0.5).next_step
    assert replace(convex, curvature=-1.0).bends_down


def test_batches_that_are_all_the_same_are_refused(quadratic):
    same = [torch.tensor([0, 1, 2]), torch.tensor([2, 1, 0])]
    with pytest.raises(InputError, match="batches must differ, got 2 times the same 3 images"):
        batch_projections(quadratic, LOWEST, same, [0.1])


def test_the_noise_of_batches_is_what_is_not_their_mean():
    random = np.random.default_rng(0)
    plain = 1 + random.normal(size=4000)
    projections = BatchProjections(plain, (2 + 4 * random.normal(size=4000))[None], plain[None],
                                   (0.1,))  # fmt: skip
    (found,) = with_batches([effect()], projections, [squares(10.0, 1.0)], batch_size=16)
    # Of a mean square of 4 + 16 four fifths are noise; 4,000 draws tell it to about a hundredth.
    assert found.noise == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (effect(change(factor=None, plain_error=1.0)), "About 5 times as many images of this class "
         "would give a factor; a larger --rho changes more."),
        (effect(change(confidence=0.6, factor=None, plain_error=99.0)), "Many more images of this "
         "class would settle it; a larger --rho changes more."),
        (effect(change(confidence=0.6)), "More images of this class, or a larger --rho"),
        (effect(change(draws=1, confidence=None, factor=None)), "Ask of several classes together"),
        (effect(batches=change(factor=None, plain_error=1.0), squares=squares(2.0, 1.0)),
         "About 5 times as many batches (--num-batches) would settle theirs."),
        (effect(), "Another --rho."),
    ],
)  # fmt: skip
def test_every_answer_is_followed_by_what_would_change_it(found, said):
    assert found.next_step.startswith(said)


def test_a_direction_that_is_no_eigenvector_yet_is_said_to_be_none():
    rough, fine = effect(residual=0.5), effect(residual=0.1)  # λ is -2
    assert rough.sentence == f"{fine.sentence} v_min is known to a residual of 0.5 only."
    assert rough.next_step.startswith("A smaller --tol")
    assert fine.next_step == effect().next_step


def test_over_several_radii_the_first_that_says_something_speaks():
    open_ = effect(change(confidence=0.6, factor=None))
    strong = replace(effect(), rho=0.5)
    said = sentence_over_radii([open_, strong])
    assert said == (
        f"{strong.sentence} In all: at ρ 0.1 neither can be said; at ρ 0.5 it strengthens the step."
    )
    assert next_step_over_radii([open_, strong]).endswith(strong.next_step)
    assert sentence_over_radii([open_]) == open_.sentence


def test_where_nothing_was_recorded_the_sentence_says_what_measures_it():
    assert "'spectra sam' measures it" in sentence_over_radii(())
    assert next_step_over_radii(()) == ""


@pytest.mark.parametrize(("mean", "error"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_no_number_of_draws_is_advised_where_one_cannot_be_told(mean, error):
    assert _times_more(mean, error, 10) is None
