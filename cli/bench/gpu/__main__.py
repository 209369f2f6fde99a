"""The suite without the command line's libraries: ``python -m cli.bench.gpu -o DIR``.

It needs torch, numpy, scipy, safetensors, msgspec and filelock, and Pillow where the prepared
images are WebP.
"""

import argparse
import sys
from pathlib import Path

from cli.bench.gpu.run_suite import ABORTED, run_suite
from cli.bench.gpu_ledger.suite_request import SuiteRequest, parse_recipes
from cli.bench.gpu_references.make_references import prepare
from cli.bench.gpu_references.sizes import CHECKPOINT, SECONDS
from spectra.errors import SpectraError


def main(arguments: list[str] | None = None) -> int:
    """Run or prepare the suite; return the exit code: 1 where it is not right, 2 for a mistake."""
    parser = argparse.ArgumentParser(prog="python -m cli.bench.gpu")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for results")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="stop by then")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--prepared", type=Path, help="folder of the references [OUTPUT/prepared]")
    parser.add_argument("--dry-run", action="store_true", help="toy sizes, on the CPU")
    parser.add_argument("--prepare", action="store_true", help="make the references, on the CPU")
    parser.add_argument("--data", help="images for --prepare, as npz:TRAIN.npz,TEST.npz")
    parser.add_argument("--checkpoint", default=CHECKPOINT, help="network for --prepare")
    parser.add_argument("--recipes", help="to train, joined by commas, or none [ce-drw-sam]")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.prepare:
            prepare(
                chosen.output,
                source=chosen.data,
                checkpoint=chosen.checkpoint,
                say=lambda line: print(line, file=sys.stderr, flush=True),
            )
            return 0
        results = run_suite(
            SuiteRequest(
                chosen.output,
                chosen.prepared,
                chosen.seconds,
                chosen.device,
                chosen.dry_run,
                recipes=parse_recipes(chosen.recipes),
            )
        )
    except SpectraError as error:
        print(f"Error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    for row in results.table:
        print(" | ".join(row))
    if results.status == ABORTED:
        print(f"Error: {results.reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
