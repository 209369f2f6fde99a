"""Redraw the figures and write the tables again."""

import sys
from pathlib import Path

from drawing import draw_study_of_tail_saddles

DOCS = Path(__file__).parents[1]

for path in draw_study_of_tail_saddles(DOCS / "study", DOCS / "images"):
    sys.stdout.write(f"{path}\n")
