"""The tables of stored results fit 80 columns: what studies of real networks have measured."""

from pathlib import Path

import pytest

from cli.commands.claims import alain2019, ghorbani2019, papyan2020
from cli.commands.directions import sam, theorem
from cli.display.found.recurrences import recurrences_table
from cli.display.tables import print_table
from spectra.results.claims.best_steps_result import load_best_steps
from spectra.results.claims.class_outliers_result import load_class_outliers
from spectra.results.claims.negative_share_result import load_negative_share
from spectra.results.directions.theorem_result import load_theorem
from spectra.results.protocols.recurrences_result import load_recurrences

STUDY = Path(__file__).parents[3] / "docs" / "study"


def stored():
    """Return the tables by name."""
    found = {
        f"recurrences {path.stem}": recurrences_table(load_recurrences(path))
        for path in sorted((STUDY / "recurrences").glob("*.json"))
    }
    classes = load_theorem(STUDY / "theorem" / "theorem.json").classes
    found |= {f"theorem {one.label}": theorem.direction_table(one) for one in classes}
    found["sam"] = sam.effects_table("digits/ce-drw", [e for one in classes for e in one.effects])
    claims = STUDY / "claims" / "digits"
    steps = load_best_steps(claims / "ce-drw-alain2019.json")
    outliers = load_class_outliers(claims / "ce-drw-papyan2020.json")
    shares = load_negative_share(claims / "ce-drw-ghorbani2019.json")
    return found | {
        "alain2019": alain2019.steps_table("digits/ce-drw", steps, 10),
        "papyan2020, vectors": papyan2020.vectors_table("digits/ce-drw", outliers),
        "papyan2020, outliers": papyan2020.outliers_table("digits/ce-drw", outliers),
        "ghorbani2019": ghorbani2019.shares_table("digits/ce-drw", shares),
    }


@pytest.mark.parametrize(("name", "table"), stored().items())
def test_a_stored_result_is_shown_in_80_columns(name, table, monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table(table)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("──") for line in lines), "every cell has a line"
