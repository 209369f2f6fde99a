"""``python docs/study/digits [FOLDER]``: take in what the pipeline left there; write the page."""

import sys
from pathlib import Path

from digits_page import PAGE, STORED, rendered
from digits_summary import save_summary, take_in

from spectra.system.files import write_atomically

for folder in sys.argv[1:]:
    save_summary(STORED, take_in(Path(folder)))
write_atomically(PAGE, rendered().encode())
sys.stdout.write(f"{PAGE}\n")
