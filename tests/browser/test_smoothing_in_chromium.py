"""What the page smooths is what the figures smooth."""

import json

import numpy as np
import pytest

from figures.report.densities import unpacked
from figures.style.spectral_axes import density_curve
from spectra import resolve
from spectra.krylov.quadrature.resolved import bells

pytestmark = pytest.mark.browser


def densities_of(shown):
    """Return the eigenvalues of the table's columns, and the values of each class below them."""
    page = shown.page
    heads = page.locator("#densities details thead th").all_text_contents()[1:]
    places = np.array([float(head.replace("−", "-")) for head in heads])
    rows = page.eval_on_selector_all(
        "#densities details tbody tr",
        "rows => rows.map(r => [...r.querySelectorAll('data')].map(d => Number(d.value)))",
    )
    return places, np.array(rows)


def document_of(shown):
    return json.loads(shown.page.locator("#report-data").text_content())


def sigma_of(step, axes, steps=201):
    """Return σ at a position of the slider, whose ends are those of the document."""
    least, most = axes["sigma_least"], axes["sigma_most"]
    return least * (most / least) ** (step / (steps - 1))


@pytest.mark.parametrize("moved", [None, "Home", "End", "ArrowLeft"])
def test_densities_are_sums_of_gaussians_around_the_nodes(opened, moved):
    shown = opened()
    document = document_of(shown)
    sigma = document["axes"]["sigma"]
    if moved:
        shown.slide("Smoothing σ", moved)
        step = int(shown.page.get_by_label("Smoothing σ").input_value())
        sigma = sigma_of(step, document["axes"])
    places, values = densities_of(shown)
    wanted = {"train", 0, 200}
    rows = [r for r in document["rows"] if {r["split"], r["run"], r["epoch"]} == wanted]
    assert len(rows) == len(values)
    for row, found in zip(rows, values, strict=True):
        nodes, weights = (unpacked(row["density"][k]) for k in ("nodes", "weights"))
        expected = bells(places, nodes, sigma) @ weights
        # The page sums bells up to 7 σ away: 2e-11 of the height of each is left out.
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-10 / sigma)


def test_the_page_smooths_as_the_figures_do(opened, spectra_of):
    shown = opened()
    sigma = document_of(shown)["axes"]["sigma"]
    places, values = densities_of(shown)
    for spectrum, found in zip(spectra_of.values(), values, strict=True):
        rest = resolve(spectrum)
        x, y = density_curve(rest, sigma, ends=tuple(places))
        expected = y[np.searchsorted(x, places)]
        # Nodes are float32 in the page, and those of a weight under 1e-12 are left out.
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * y.max())


def test_a_wider_gaussian_gives_a_lower_peak(opened):
    shown = opened()
    before = densities_of(shown)[1]
    shown.slide("Smoothing σ", "End")
    assert densities_of(shown)[1].max() < before.max() / 2
