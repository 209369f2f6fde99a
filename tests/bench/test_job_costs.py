"""What jobs cost: PyHessian's loops counted, products times the time of one."""

from dataclasses import replace

import pytest
from bench_parts import needs

from cli.bench.comparison import peer_libraries as peers
from cli.bench.comparison.converged_extremes import (
    Reference,
    ReferenceEnd,
    ReferenceFile,
)
from cli.bench.comparison.extremes_job import ClassResult
from cli.bench.comparison.job_costs import extremes_rows
from cli.bench.comparison.product_table import ProductRow, ProductTable
from cli.bench.comparison.pyhessian_loops import ProtocolCount, count_protocol
from cli.bench.convolution_rate import ConvolutionRate


def test_the_protocol_counts_what_pyhessian_asks_for(workload, monkeypatch):
    needs(peers.PyHessianDataloader)
    op = workload.operator()
    key = {"seed": 0, "key": "k", "file": ReferenceFile(None)}
    before = op.count.products
    found = count_protocol(op, workload.host(8), **key)
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
