import json

import pytest
import torch
from oracles import build_net, cross_entropy, images_and_labels, random_vector, train

from spectra import HessianOperator, InputError
from spectra.findings.certificates import (
    ACTIVE_IMAGES,
    LARGEST,
    RADEMACHER_PROBE,
    ROUNDING_FACTOR,
    SMALLEST,
    WARM_START,
    Certificate,
    rounding_bound,
    unbounded,
)
from spectra.results.plain import from_plain, to_plain


def certificate(**changes) -> Certificate:
    plain = {
        "which": SMALLEST,
        "value": -2.0,
        "rounding": 0.25,
        "residual": 0.5,
        "proven": True,
        "beyond": -3.0,
        "confidence": 0.95,
        "why": "cold start, 80 steps",
    }
    return Certificate(**{**plain, **changes})


def warm(which: str = SMALLEST, cause: str = WARM_START, **changes) -> Certificate:
    return certificate(
        which=which, beyond=None, confidence=0.0, why=unbounded(which, cause), **changes
    )


def test_first_statement_bounds_the_extreme_from_inside():
    found = certificate()
    assert found.attained == -1.75
    assert found.attained_statement() == (
        "λmin <= -1.75 (float64 pass over all images, rounding 0.25)"
    )
    found = certificate(which=LARGEST, value=2.0, beyond=3.0)
    assert found.attained == 1.75
    assert found.attained_statement().startswith("λmax >= 1.75 (")


def test_second_statement_is_an_interval_around_the_value():
    assert certificate().nearby_statement() == (
        "some eigenvalue lies in [-2.75, -1.25] (float64 pass over all images, rounding 0.25)"
    )


def test_second_statement_says_what_float32_products_leave_open():
    found = certificate(residual_rounding=0.25)
    assert found.attained_statement().endswith("(float64 pass over all images, rounding 0.25)")
    assert found.nearby_statement() == (
        "some eigenvalue lies in [-3, -1] (residual of float32 products: estimated, rounding 0.25)"
    )
    assert found.scaled(2).residual_rounding == 0.5
    with pytest.raises(InputError, match="finite"):
        certificate(residual_rounding=-1.0)


def test_third_statement_holds_its_probability_and_grounds():
    assert certificate().beyond_statement() == (
        "λmin >= -3 with probability 0.95 over the start vector (cold start, 80 steps)"
    )
    largest = certificate(which=LARGEST, value=2.0, beyond=3.0)
    assert largest.beyond_statement().startswith("λmax <= 3 with probability 0.95")


@pytest.mark.parametrize("cause", [WARM_START, ACTIVE_IMAGES, RADEMACHER_PROBE])
def test_an_extreme_without_a_bound_says_why(cause):
    assert warm(cause=cause).beyond_statement() == f"λmin not bounded below: {cause}"
    assert warm(LARGEST, cause).beyond_statement() == f"λmax not bounded above: {cause}"


@pytest.mark.parametrize("why", ["cold start", "cold start: float32 products, estimated"])
def test_what_is_not_proven_is_labelled_estimated_once_in_every_statement(why):
    found = certificate(proven=False, why=why)
    said = [found.attained_statement(), found.nearby_statement(), found.beyond_statement()]
    assert [line.count("estimated") for line in said] == [1, 1, 1]


def test_statements_are_single_lines_and_say_different_things():
    found = certificate()
    said = {found.attained_statement(), found.nearby_statement(), found.beyond_statement()}
    assert len(said) == 3
    assert not any("\n" in line for line in said)


@pytest.mark.parametrize(
    ("which", "value", "beyond", "expected"),
    [
        (SMALLEST, -2.0, -1.8, False),  # within the rounding .25
        (SMALLEST, -2.0, -1.7, True),
        (LARGEST, 2.0, 1.8, False),
        (LARGEST, 2.0, 1.7, True),
        (LARGEST, -2.0, 3.0, False),
    ],
)
def test_a_value_beyond_the_bound_contradicts_it(which, value, beyond, expected):
    found = certificate(which=which, value=value, beyond=beyond)
    assert found.contradicted is expected
    assert ("contradicted" in found.beyond_statement()) is expected


@pytest.mark.parametrize("found", [certificate(), warm(), warm(LARGEST, proven=False)])
def test_plain_form_survives_json(found):
    plain = json.loads(json.dumps(to_plain(found)))
    assert from_plain(plain, Certificate, origin="file") == found


def test_a_plain_form_out_of_range_is_refused():
    plain = {**to_plain(certificate()), "rounding": -1.0}
    with pytest.raises(InputError, match="file: value, rounding, residual and beyond must be"):
        from_plain(plain, Certificate, origin="file")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"which": "lowest"}, "which"),
        ({"value": float("nan")}, "finite"),
        ({"rounding": -1.0}, ">= 0"),
        ({"residual": -1.0}, ">= 0"),
        ({"beyond": float("-inf")}, "finite"),
        ({"confidence": 0.0}, "confidence"),
        ({"confidence": 1.0}, "confidence"),
        ({"beyond": None}, "confidence"),
    ],
)
def test_numbers_that_make_no_statement_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        certificate(**changes)


def test_rounding_bound_is_the_stated_formula():
    assert rounding_bound(3.0, 1.0) == ROUNDING_FACTOR * 2.0**-53 * 4.0
    assert rounding_bound(3.0, 1.0, factor=1.0) == 2.0**-51


@pytest.mark.parametrize("scales", [(-1.0, 1.0), (1.0, float("nan")), (float("inf"), 1.0)])
def test_rounding_bound_refuses_scales_that_are_none(scales):
    with pytest.raises(InputError, match="scales"):
        rounding_bound(*scales)


def quotient(op: HessianOperator, y: torch.Tensor) -> tuple[float, float, float]:
    """Return yᵀHy, ‖Hy - θy‖ and Σ ‖w_c H_c y‖ / W."""
    pieces = [op.chunk_product(chunk, y) for chunk in op.chunks()]
    product = torch.stack(pieces).sum(0) / op.total_weight
    value = float(y @ product)
    scale = sum(float(piece.norm()) for piece in pieces) / op.total_weight
    return value, float((product - value * y).norm()), scale


@pytest.mark.parametrize("kind", ["softmax", "smooth_mlp", "mlp_bn", "conv_resnet"])
@pytest.mark.parametrize("steps", [0, 30])
def test_two_orders_of_computation_agree_ten_times_better_than_the_bound(kind, steps):
    images, labels = images_and_labels(22, seed=steps)
    model = train(build_net(kind), images, labels, steps=steps, lr=0.3)
    ops = [
        HessianOperator(
            model,
            images,
            labels,
            loss=loss,
            dtype=torch.float64,
            micro_chunk=micro_chunk,
            products=products,
            check=False,
        )
        for products, micro_chunk, loss in (
            ("double-backward", 22, cross_entropy),
            ("double-backward", 3, cross_entropy),
            ("tangent", 8, None),
        )
    ]
    matrix = ops[0].dense()
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    random = random_vector(len(values), kind, steps)
    largest = float(values.abs().max())
    for y in (vectors[:, 0], vectors[:, -1], vectors[:, len(values) // 2], random / random.norm()):
        found = [quotient(op, y.contiguous()) for op in ops]
        bound = rounding_bound(min(scale for *_, scale in found), largest)
        for k in (0, 1):  # the quotient, then the residual
            numbers = [row[k] for row in found]
            # The assumption of rounding_bound with a decade to spare.
            assert max(numbers) - min(numbers) < bound / 10
