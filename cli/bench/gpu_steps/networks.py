"""Step 9: what the trainings gave: plain, with bounds from below, and as published."""

import importlib.util
import itertools
from dataclasses import asdict
from functools import partial
from typing import Any

from checkpoints import Checkpoint, list_checkpoints, load_checkpoint
from checkpoints.analysis.analyze import test_accuracy
from checkpoints.analysis.compare_protocols import compare_protocols
from checkpoints.analysis.data_of import normalisation_for
from checkpoints.analysis.request import AnalysisRequest
from cli.bench.gpu_ledger.step import Step
from cli.bench.gpu_ledger.suite import Suite, scaled_seconds
from cli.bench.gpu_steps.extremes import summary
from cli.bench.gpu_steps.trainings import run_folder
from spectra import SolverSettings
from spectra.errors import InputError
from spectra.results.plain import to_plain
from spectra.results.protocol_rows import protocol_rows

PROTOCOLS = ("plain", "fresh", "fresh/pyhessian")
# PyHessian's recurrence over ours of the same class, on an H100: 46 s over 6.6 s.
PYHESSIAN_TIMES = 7.0


def run(suite: Suite, step: Step) -> None:
    """Analyze the last kept network of each training, class by class, under each protocol."""
    networks = {recipe: _last(suite, recipe) for recipe in suite.request.trained}
    for recipe, network in networks.items():
        if network is None:
            step.skip(recipe, "no weights of this training were kept")
        elif suite.prepared.data.test is None:
            step.skip(f"{recipe}, test images", "no test images were prepared")
        else:
            step.item(f"{recipe}@{network.epoch}, test images", partial(_accuracy, suite, network))
    protocols: tuple[str, ...] = PROTOCOLS
    if importlib.util.find_spec("pyhessian") is None:
        protocols = tuple(p for p in PROTOCOLS if not p.endswith("pyhessian"))
        step.skip("fresh/pyhessian", "pyhessian is not installed")
    counts = suite.prepared.data.class_counts
    seconds: dict[str, tuple[float, int]] = {}  # of each protocol's last item, and its images
    # Class by class under our protocols, then PyHessian's, which takes longest: what the limit cuts
    # is then that, and the largest classes.
    ours = itertools.product(suite.sizes.analyzed, protocols[:2])
    theirs = itertools.product(suite.sizes.analyzed, protocols[2:])
    for label, protocol in itertools.chain(ours, theirs):
        for recipe, network in networks.items():
            if network is None:
                continue
            took, images = seconds.get(protocol, (0.0, 1))
            if protocol == PROTOCOLS[2] and protocol not in seconds and "fresh" in seconds:
                took, images = PYHESSIAN_TIMES * seconds["fresh"][0], seconds["fresh"][1]
            found = step.item(
                f"{recipe}@{network.epoch}, class {label}, {protocol}",
                partial(_analyzed, suite, recipe, network, label, protocol),
                estimate=scaled_seconds(took, images, counts[label]),
            )
            if found is not None and found.seconds is not None:
                seconds[protocol] = (found.seconds, counts[label])


def _last(suite: Suite, recipe: str) -> Checkpoint | None:
    try:
        return load_checkpoint(list_checkpoints(run_folder(suite, recipe))[-1][1])
    except InputError:
        return None


def _accuracy(suite: Suite, network: Checkpoint) -> dict[str, Any]:
    data = suite.prepared.data
    normalisation = normalisation_for(network, data)
    found = test_accuracy(network, data, normalisation, device=suite.device)
    assert found is not None  # there are test images
    return asdict(found)


def _analyzed(
    suite: Suite, recipe: str, network: Checkpoint, label: int, protocol: str
) -> dict[str, Any]:
    found = compare_protocols(
        network,
        suite.training_images,
        AnalysisRequest(
            classes=str(label),
            device=suite.device,
            solver=SolverSettings(
                num_probes=1, num_steps=suite.sizes.nodes, certify_below=protocol == "plain"
            ),
        ),
        folder=suite.request.folder / "networks" / f"{recipe}-{network.epoch}" / f"class-{label}",
        protocols=(protocol,),
        num_steps=suite.sizes.nodes,
    )
    record = found[protocol].records[0]
    row = to_plain(protocol_rows(found)[0])
    return {**summary(record), **{k: v for k, v in row.items() if k not in ("class", "protocol")}}
