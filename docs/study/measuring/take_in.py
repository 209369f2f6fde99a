"""Keep results of ``spectra analyze`` in little space: the same content without its line breaks.

``python docs/study/measuring/take_in.py FOLDER...`` writes each result file again, in place,
where it is larger than it need be. :func:`spectra.load_analysis` reads both.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from spectra.system.files.writing import write_atomically


def kept_small(text: str) -> str:
    """Return the same JSON in one line.

    Example:
        >>> kept_small('{"a": [1,  2]}')
        '{"a":[1,2]}\\n'
    """
    return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    for path in (p for folder in sys.argv[1:] for p in sorted(Path(folder).glob("**/*.json"))):
        small = kept_small(path.read_text("utf-8")).encode()
        if len(small) < path.stat().st_size:
            write_atomically(path, small)
            sys.stdout.write(f"{path}\n")
