"""What commands do: a study as ``make demo`` runs it, a trajectory, the bench, the self-test."""

from __future__ import annotations

import torch
from click.testing import CliRunner

from checkpoints.analysis.trajectory import switch_epochs
from checkpoints.studies.pipeline import run_study
from checkpoints.studies.study import load_study
from cli.bench import convolution_rate
from cli.bench.comparison.compare import run_comparison
from cli.bench.comparison.request import ComparisonRequest
from cli.main import cli
from cli.options.values import pick_device
from figures import draw_study
from pretended_gpu.stage import Facts, Stage, relative
from spectra.engines.self_test import dense_self_test
from spectra.results.study_result import StudyResult

# checkpoints/studies/demo.toml, made small.
STUDY = """
name = "small demo"

[data]
source = "digits"
n_max = 30
imbalance_factor = 0.1

[train]
recipes = ["ce-drw", "ce-drw-sam"]
seeds = [0]
epochs = 2
keep_epochs = [1, 2]

[analyze]
splits = ["train"]
classes = "9,tail"
num_probes = 1
num_steps = 6
max_steps = 20
images_per_class = 4

[trajectory]
classes = "9"

[figures]
density_classes = ["tail"]
"""


def demo(stage: Stage) -> Facts:
    """Run a small study on the card that ``--device auto`` takes, draw it; run it on the CPU."""
    path = stage.folder / "small.toml"
    path.write_text(STUDY)
    study = load_study(path)
    device = pick_device("auto")
    with stage.counted() as count:
        found = run_study(study, stage.folder / "demo", device=device)
        files = draw_study(
            found,
            stage.folder / "demo",
            groups=study.groups_in(found),
            density_classes=study.density_classes,
            switch_epochs=switch_epochs(found.trajectories),
            formats=("png",),
        )
    wanted = run_study(study, stage.folder / "demo-cpu", device="cpu")
    warm = [r.start for a in found.trajectories for r in a.records]
    return {
        **count.facts(),
        "device": device,
        "differs by": max(
            relative(getattr(a, name), getattr(b, name))
            for one, other in zip(_all(found), _all(wanted), strict=True)
            for a, b in zip(one.records, other.records, strict=True)
            for name in ("lambda_max", "grad_norm")
        ),
        "starts": sorted(set(warm)),
        "files": sum(file.stat().st_size > 0 for file in files),
    }


def _all(result: StudyResult) -> list:
    return [*result.analyses, *result.trajectories]


def bench(stage: Stage) -> Facts:
    """Run the tables of products and of extremes, with the peers that are installed."""
    convolution_rate.BATCHES = {kind: (1,) for kind in convolution_rate.BATCHES}
    convolution_rate.SECONDS_PER_CASE = 0.0
    with stage.counted() as count:
        result = run_comparison(
            ComparisonRequest(
                checkpoint="bundled:digits/ce-drw",
                what=("products", "extremes"),
                classes="9",
                num_images=32,
                images_per_class=4,
                rounds=1,
                device=stage.second,
            )
        )
    return {
        **count.facts(),
        "launches on the other card": count.cards[0] if stage.card else 0,
        "failures": list(result.products.failures),
        "wrong": result.products.wrong,
        "rows": [f"{row.peer} {row.mode}" for row in result.products.rows],
    }


def command_line(stage: Stage) -> Facts:
    """Run commands with each way of naming a device."""
    analyze = ["analyze", "bundled:digits/ce-drw", "--classes", "9", "--num-probes", "0", "--json"]
    folder = str(stage.folder / "command")
    commands = {
        "doctor": ["doctor"],
        "analyze on auto": [*analyze, "-o", f"{folder}-auto"],
        "analyze on cuda": [*analyze, "-o", f"{folder}-cuda", "--device", "cuda"],
        "analyze on the last card": [*analyze, "-o", f"{folder}-last", "--device", stage.second],
        "a card that is not there": [*analyze, "-o", f"{folder}-none", "--device", "cuda:99"],
    }
    current = torch.cuda.current_device()
    found: Facts = {}
    for name, arguments in commands.items():
        result = CliRunner().invoke(cli, arguments)
        found[name] = {
            "code": result.exit_code,
            "error": result.output,
            "problem": repr(result.exception) if result.exception else "",
        }
        torch.cuda.set_device(current)
    return found


def self_test(stage: Stage) -> Facts:
    """Run what ``spectra doctor`` runs."""
    test = dense_self_test(stage.second)
    return {name: value for name, value in vars(test).items() if not name.startswith("_")}
