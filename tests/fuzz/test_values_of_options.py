"""Texts of the command line: each is understood or refused, whatever was typed."""

from collections.abc import Callable
from typing import Any

import click
import pytest
from guarded import guarded
from hypothesis import given
from hypothesis import strategies as st

from checkpoints import get_recipe
from checkpoints.analysis.compare_protocols import parse_protocols
from checkpoints.analysis.named_classes import parse_selection
from checkpoints.data.longtail import parse_class_list, parse_groups
from checkpoints.data.normalisations import parse_normalisation
from checkpoints.data.views import ImageProtocol
from cli.options.values import parse_counts, parse_memory, parse_radii
from spectra.errors import SpectraError
from spectra.products.tuning import parse_tuning

_GROUPS = {"head": (0,), "tail": (1, 2)}
PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "--memory": (parse_memory, "4GiB"),
    "--rho": (parse_radii, "0.05,0.5"),
    "--seeds": (lambda text: parse_counts(text, flag="--seeds"), "0,1,2"),
    "--classes": (lambda text: parse_selection(text, _GROUPS, num_classes=3), "head,0,overall"),
    "--groups": (lambda text: parse_groups(text, num_classes=3), "head:0;tail:1,2"),
    "a list of classes": (lambda text: parse_class_list(text, num_classes=3), "0,1-2"),
    "--normalisation": (lambda text: parse_normalisation(text, channels=1), "0.5/0.25"),
    "--images": (ImageProtocol.parse, "frozen:4"),
    "--protocols": (parse_protocols, "plain,frozen:all,fresh/pyhessian"),
    "--tuning": (parse_tuning, "auto"),
    "--set rho_schedule": (
        lambda text: get_recipe("ce-sam").with_overrides({"rho_schedule": text}),
        "0:.1,.5:2",
    ),
    "--set lr": (lambda text: get_recipe("ce").with_overrides({"lr": text}), "1e-3"),
    "--set epochs": (lambda text: get_recipe("ce").with_overrides({"epochs": text}), "200"),
    "--set augment_flip": (
        lambda text: get_recipe("ce").with_overrides({"augment_flip": text}),
        "true",
    ),
}
_TYPED = st.text(alphabet=st.sampled_from("0123456789.,:;/-+eExinfNa λ∞²٣\x00\ud800"), max_size=30)


@st.composite
def texts(draw, sound: str) -> str:
    """Return what somebody may type who means ``sound``, or anything."""
    at, length = draw(st.integers(0, len(sound))), draw(st.integers(0, 3))
    slipped = sound[:at] + draw(_TYPED) + sound[at + length :]
    return draw(st.sampled_from((slipped, draw(_TYPED), draw(st.text(max_size=30)), "9" * 5000)))


@pytest.mark.parametrize("option", PARSERS)
@given(data=st.data())
def test_a_text_is_understood_or_refused(option, data):
    parse, sound = PARSERS[option]
    text = data.draw(texts(sound))
    with guarded():
        try:
            parse(text)
        except (SpectraError, click.UsageError):
            return
