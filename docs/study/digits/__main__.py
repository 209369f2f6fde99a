"""``python docs/study/digits [FOLDER]``: take in a pipeline's results; write page and README."""

import sys
from pathlib import Path

from digits_page import PAGE, README, STORED, readme_with_part, rendered
from digits_summary import save_summary, take_in

from spectra.system.files import write_atomically

for folder in sys.argv[1:]:
    save_summary(STORED, take_in(Path(folder)))
for path, text in ((PAGE, rendered()), (README, readme_with_part())):
    write_atomically(path, text.encode())
    sys.stdout.write(f"{path}\n")
