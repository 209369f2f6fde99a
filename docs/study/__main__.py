"""Redraw the figures and write the documents again."""

import sys
from pathlib import Path

from drawing import draw_study_of_tail_saddles
from pages import documents

from spectra.system.files import write_atomically

ROOT = Path(__file__).parents[2]

for path in draw_study_of_tail_saddles(ROOT / "docs" / "study", ROOT / "docs" / "images"):
    sys.stdout.write(f"{path}\n")
for path, text in documents(ROOT).items():
    write_atomically(path, text.encode())
    sys.stdout.write(f"{path}\n")
