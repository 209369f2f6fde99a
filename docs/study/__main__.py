"""``python docs/study [DIGITS_RUN]``: redraw the figures and write the documents again.

DIGITS_RUN is a folder of ``make study-digits``, whose results become the stored summary first.
"""

import sys
from pathlib import Path

from digits.digits_page import SUMMARY
from digits.digits_summary import save_summary, take_in
from drawing import draw_claims, draw_study_of_tail_saddles
from pages import documents

from spectra.system.files.writing import write_atomically

ROOT = Path(__file__).parents[2]

for folder in sys.argv[1:]:
    save_summary(ROOT / "docs" / "study" / "digits" / SUMMARY, take_in(Path(folder)))
study, images = ROOT / "docs" / "study", ROOT / "docs" / "images"
for path in (*draw_study_of_tail_saddles(study, images), *draw_claims(study, images)):
    sys.stdout.write(f"{path}\n")
for path, text in documents(ROOT).items():
    write_atomically(path, text.encode())
    sys.stdout.write(f"{path}\n")
