"""Put the toolkit through a GPU: ``python -m pretended_gpu.scenario --library FILE -o FILE``.

With ``--real`` on a machine with a GPU, the same parts run on it and nothing is counted. Each part
is caught by itself; the file says of each what it found, or how it failed.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pretended_gpu.build import load_card


def parts() -> dict[str, Callable[[Any], dict[str, Any]]]:
    """Return every part by its name, in the order in which they run."""
    from checkpoints.recipes.families import RECIPE_NAMES
    from pretended_gpu import analyses, blocks, commands, products, recordings, refusals, trainings

    return {
        "refusals": refusals.refusals,
        "launches": products.launches,
        "operator": products.operator,
        "several chunks": products.several_chunks,
        "protocols": products.protocols,
        "tf32": products.tf32,
        "graphs": products.graphs,
        "places": products.places,
        "blocks": blocks.blocks,
        "analyses in blocks": blocks.analyses_in_blocks,
        "extremes": analyses.extremes,
        **{
            f"analysis: {name}": partial(analyses.analysis, name=name) for name in analyses.REQUESTS
        },
        "theorem": analyses.theorem,
        "images": analyses.images,
        "memory plans": analyses.memory_plans,
        "short memory": analyses.short_memory,
        **{f"recipe: {name}": partial(trainings.recipe_step, name=name) for name in RECIPE_NAMES},
        **{
            f"ResNet-32: {name}": partial(trainings.resnet_steps, name=name)
            for name in ("ce-drw", "ce-drw-sam")
        },
        **{
            f"resumption: {name}": partial(trainings.resumption, name=name)
            for name in ("ce-drw", "ce-drw-sam", "ce-drw-lpf-sgd")
        },
        **{
            f"execution: {name}": partial(trainings.execution, name=name)
            for name in trainings.EXECUTIONS
        },
        **{
            f"captured: {name}": partial(trainings.captured_steps, name=name)
            for name in trainings.CAPTURED
        },
        "evaluation": trainings.evaluation,
        "photos": trainings.photos,
        "recording": recordings.recording,
        "demo": commands.demo,
        "bench": commands.bench,
        "self-test": commands.self_test,
        "command line": commands.command_line,
    }


def main() -> None:
    """Run the parts that are asked for and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--library", type=Path, help="the compiled card")
    parser.add_argument("--real", action="store_true", help="run on the GPU that is here")
    parser.add_argument("--only", default="", help="parts whose names begin so")
    arguments = parser.parse_args()
    library = None if arguments.real else load_card(arguments.library)

    import torch

    from pretended_gpu.card import Card
    from pretended_gpu.stage import Stage

    torch.set_num_threads(1)
    if library is not None:
        warnings.simplefilter("error")
    found: dict[str, Any] = {"torch": torch.__version__, "counted": library is not None}
    found["parts"] = {}
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(None if library is None else Card(library), Path(folder))
        for name, part in parts().items():
            if not name.startswith(arguments.only):
                continue
            begun = time.process_time()
            facts, error = {}, ""
            try:
                facts = part(stage)
            except Exception as problem:
                error = _last_lines(problem)
            seconds = round(time.process_time() - begun, 2)
            found["parts"][name] = {"seconds": seconds, "error": error, "facts": facts}
    found["seconds"] = time.process_time()
    arguments.output.write_text(json.dumps(found, indent=1), encoding="utf-8")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # torch's threads for a card outlive the library that they belong to


def _last_lines(problem: Exception) -> str:
    """Return the error and where in the toolkit it came from, innermost last."""
    places = [
        f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno} {frame.line}"
        for frame in traceback.extract_tb(problem.__traceback__)[-6:]
    ]
    text = " ".join(str(problem).split())[:400]
    return "\n".join([*places, f"{type(problem).__name__}: {text}"])


if __name__ == "__main__":
    main()
