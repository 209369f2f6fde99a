"""Step 9: what the trainings gave: plain, with bounds from below, and as published."""

import importlib.util
from typing import Any

from checkpoints import Checkpoint, list_checkpoints, load_checkpoint
from cli.workflows.bench.gpu.ledger import Step
from cli.workflows.bench.gpu.steps.extremes import summary
from cli.workflows.bench.gpu.steps.trainings import run_folder
from cli.workflows.bench.gpu.suite import Suite
from cli.workflows.losses import AnalysisRequest
from cli.workflows.protocols import compare_protocols, comparison_rows
from spectra import SolverSettings
from spectra.errors import InputError

# One at a time, so that the limit finds as many as possible done.
PROTOCOLS = ("plain", "fresh", "fresh/pyhessian")


def run(suite: Suite, step: Step) -> None:
    """Analyze the last kept network of each training, class by class, under each protocol."""
    networks = {recipe: _last(suite, recipe) for recipe in suite.sizes.recipes}
    for recipe, network in networks.items():
        if network is None:
            step.skip(recipe, "no weights of this training were kept")
    for protocol in PROTOCOLS:
        if protocol.endswith("pyhessian") and importlib.util.find_spec("pyhessian") is None:
            step.skip(protocol, "pyhessian is not installed")
            continue
        for label in suite.sizes.analyzed:
            for recipe, network in networks.items():
                if network is not None:
                    step.item(
                        f"{recipe}@{network.epoch}, class {label}, {protocol}",
                        lambda recipe=recipe, network=network, label=label, protocol=protocol: (
                            _analyzed(suite, recipe, network, label, protocol)
                        ),
                    )


def _last(suite: Suite, recipe: str) -> Checkpoint | None:
    try:
        return load_checkpoint(list_checkpoints(run_folder(suite, recipe))[-1][1])
    except InputError:
        return None


def _analyzed(
    suite: Suite, recipe: str, network: Checkpoint, label: int, protocol: str
) -> dict[str, Any]:
    found = compare_protocols(
        network,
        suite.prepared.data,
        AnalysisRequest(
            classes=str(label),
            device=suite.device,
            solver=SolverSettings(
                num_probes=1, num_steps=suite.sizes.nodes, certify_below=protocol == "plain"
            ),
        ),
        folder=suite.request.folder / "networks" / f"{recipe}-{network.epoch}" / f"class-{label}",
        protocols=(protocol,),
    )
    record = found[protocol].records[0]
    row = comparison_rows(found)[0]
    return {**summary(record), **{k: v for k, v in row.items() if k not in ("class", "protocol")}}
