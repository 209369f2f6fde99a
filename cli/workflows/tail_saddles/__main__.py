"""Redraw the figures and write the tables again."""

import sys
from pathlib import Path

from cli.workflows.tail_saddles import draw_study_of_tail_saddles

DOCS = Path(__file__).parents[3] / "docs"

for path in draw_study_of_tail_saddles(DOCS / "study", DOCS / "images"):
    sys.stdout.write(f"{path}\n")
