"""The figure of the layers shows what was found of them."""

from dataclasses import replace

import pytest
from drawn_results import analysis, line, record_of

from figures import draw_analysis, plot_layers
from spectra import InputError, LayerSpectrum


def layer(name: str, scale: float) -> LayerSpectrum:
    return LayerSpectrum(name, (f"{name}.weight",), 9, -scale, 5 * scale, 0.1, 0.1, True, 7.0, 0.5)


def with_layers():
    one, other = (replace(record_of(None, label), layers=(layer("conv", k), layer("fc", 2 * k)))
                  for label, k in (("0", 1.0), ("8", 3.0)))  # fmt: skip
    return analysis(one, other)


def test_lines_are_the_values_of_the_layers_in_their_order():
    fig = plot_layers(with_layers())
    top, bottom, trace = fig.axes[:3]
    assert list(line(top, "class 8 (50)").get_ydata()) == [15.0, 30.0]
    assert list(line(bottom, "class 0 (50)").get_ydata()) == [-1.0, -2.0]
    assert list(line(trace, "class 0 (50)").get_ydata()) == [7.0, 7.0]
    assert [text.get_text() for text in trace.get_xticklabels()] == ["conv", "fc"]


def test_a_result_with_layers_gets_their_figure(tmp_path):
    written = draw_analysis(with_layers(), tmp_path, formats=("png",))
    assert [path.name for path in written] == ["layers.png"]


def test_a_result_without_layers_is_refused():
    with pytest.raises(InputError, match="no layers; they come from analyze --per-layer"):
        plot_layers(analysis(record_of(None)))


def test_long_names_of_layers_are_shortened_in_the_middle():
    name = "transformer.encoder.layer.11.attention.output"
    one = replace(record_of(None, "0"), layers=(layer(name, 1.0), layer("fc", 2.0)))
    shown = [text.get_text() for text in plot_layers(analysis(one)).axes[2].get_xticklabels()]
    assert shown[1] == "fc"
    assert len(shown[0]) == 24
    assert (shown[0][:11], shown[0][-6:]) == ("transformer", "output")
