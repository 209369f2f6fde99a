"""The arithmetic of a product on a card, and the table of it in the docs."""

from pathlib import Path

import pytest

from cli.bench.arithmetic import (
    COLUMNS,
    CONSUMER,
    H100,
    RESNET32,
    arithmetic_rows,
    count_product,
    launch_bound_below,
    markdown,
    product_seconds,
)

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_in_the_docs_is_what_the_arithmetic_gives():
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    assert markdown(COLUMNS, arithmetic_rows()) in text
    assert f"launches {RESNET32.launches} kernels" in text
    for rates in (H100, CONSUMER):
        assert f"under {launch_bound_below(RESNET32, rates)} images" in text


def test_the_counts_behind_the_arithmetic_are_those_of_a_product():
    found = count_product()
    # The docs give three digits.
    assert found.flops_per_image == pytest.approx(RESNET32.flops_per_image, rel=1e-3)
    assert found.bytes_per_image == pytest.approx(RESNET32.bytes_per_image, rel=5e-3)
    assert found.launches == RESNET32.launches
    assert found.launches <= 400


def test_few_images_cost_their_launches_and_many_their_work():
    assert product_seconds(RESNET32, H100, 1) == RESNET32.launches * H100.launch_seconds
    many = 5000 * RESNET32.flops_per_image / H100.flops
    assert product_seconds(RESNET32, H100, 5000) == pytest.approx(many)
