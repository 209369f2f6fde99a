"""``spectra train``: train one recipe on long-tailed data."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.display.lines import note, print_json, print_paths, say, there
from cli.display.progress import reporting
from cli.options import shared
from cli.options.completion import recipe_names
from cli.options.flags import OUTPUT, RECIPE, Flag, command
from cli.options.values import hold, pick_device
from spectra.errors import InputError
from spectra.results.groups.many import are_many
from spectra.system.files.names import file_name

if TYPE_CHECKING:
    from checkpoints.training.evaluation import ClassMetrics, EpochMetrics
    from checkpoints.training.execution import Execution


@command(
    short_help="Train one recipe on long-tailed data.",
    examples="""
    # on real digits, which are bundled
    spectra train ce-drw-sam -o runs/mine
    # a network and images of your own, for 30 epochs
    spectra train vs --arch net.py:Net --data folder:photos,32 --epochs 30
    """,
)
@click.argument("recipe", shell_complete=recipe_names)
@shared.source
@shared.profile
@Flag(
    "--arch",
    heading=RECIPE,
    help="digits-resnet, resnet20, resnet32, resnet50, ... or net.py:Net, a class of your own.",
)
@Flag("--epochs", heading=RECIPE, type=int, help="Schedules scale with it. [the recipe's]")
@Flag("--rho", heading=RECIPE, type=float, help="Radius of SAM. [the recipe's]")
@Flag(
    "--set",
    "settings",
    heading=RECIPE,
    multiple=True,
    metavar="FIELD=VALUE",
    help="Any recipe field.",
)
@Flag(
    "--from",
    "start",
    heading=RECIPE,
    metavar="CHECKPOINT",
    help="Begin from its weights, after its epoch of RECIPE's schedule, without momentum.",
)
@shared.seed
@shared.device
@shared.execution
@shared.output
@Flag(
    "--keep",
    heading=OUTPUT,
    help="Epochs to keep, such as 10,50,100. [scaled from the paper's]",
)
@Flag("--resume", heading=OUTPUT, is_flag=True, help="Go on with a run that was interrupted.")
@Flag(
    "--other-execution",
    heading=OUTPUT,
    is_flag=True,
    help="With --resume: also where it was begun in another precision or layout, compiled or "
    "captured. To other bytes; the checkpoints say which epochs were computed how.",
)
@shared.log_to
@shared.as_json
def train(
    recipe: str,
    source: str | None,
    profile: dict[str, Any],
    arch: str | None,
    epochs: int | None,
    rho: float | None,
    settings: tuple[str, ...],
    keep: str | None,
    start: str | None,
    resume: bool,
    other_execution: bool,
    execution: "Execution",
    output: Path | None,
    log_to: tuple[str, ...],
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Train RECIPE, a name (see 'spectra recipes') or a TOML file, and keep checkpoints."""
    from checkpoints import RECIPE_NAMES, DataRequest
    from checkpoints.training.job import state_path
    from checkpoints.training.request import TrainRequest, training_job
    from checkpoints.training.resume import load_history
    from checkpoints.training.run import train_job
    from spectra.results.writers.open_writers import check_places, writing_to

    check_places(log_to)
    if other_execution and not resume:
        raise InputError("--other-execution goes with --resume; add it")
    overrides: dict[str, Any] = dict(_assignment(text) for text in settings)
    overrides |= {k: v for k, v in (("epochs", epochs), ("rho", rho)) if v is not None}
    request = TrainRequest(
        recipe=recipe,
        data=DataRequest(source or "digits", **profile),
        arch=arch,
        overrides=overrides,
        seed=seed,
        keep_epochs=None if keep is None else _numbers(keep),
        start=start,
        execution=execution,
    )
    chosen = pick_device(device)
    folder = hold(output or Path("runs") / _default_name(recipe, source, seed))
    job = training_job(request, folder)
    if "rho" in overrides and not job.recipe.uses_ascent:
        twin = f"{job.recipe.name}-sam"
        advice = f"take {twin}" if twin in RECIPE_NAMES else "'spectra recipes' lists those that do"
        raise InputError(f"{job.recipe.name} does not use ρ; leave it out, or {advice}")
    trained = False
    described = {"recipe": job.recipe.name, "seed": seed, "data": job.data.name}
    with (
        writing_to(log_to, folder.name, described) as writer,
        reporting(f"training {job.recipe.name}") as report,
    ):

        def on_progress(what: str, epoch: int, epochs: int) -> None:
            nonlocal trained
            trained = True
            report.update(f"{job.recipe.name}, {what}, epoch", epoch, epochs)

        def on_epoch(metrics: "EpochMetrics") -> None:
            writer.write_values(metrics.values())

        kept = train_job(
            job,
            device=chosen,
            resume=resume,
            other_execution=other_execution,
            on_progress=on_progress,
            on_epoch=on_epoch,
        )
    last = load_history(state_path(folder))[-1] if trained else None
    if as_json:
        last_epoch = None if last is None else last.to_dict()
        print_json({"checkpoints": there(kept), "last_epoch": last_epoch})
        return
    if last is None:
        note(f"{folder} was trained already")
    elif last.test is not None:
        say(f"test accuracy {last.test.overall:.4f}; {_by_class(last.test, job.data.class_counts)}")
    else:
        say(f"train accuracy {last.train_accuracy:.4f}; no test images were given")
    say("checkpoints:")
    print_paths(kept)


def _by_class(found: "ClassMetrics", counts: Sequence[int]) -> str:
    """Return the accuracy of each class; of each group, as a mean over it, where there are many."""
    if not are_many(found.accuracy):
        return "by class " + " ".join("-" if a is None else f"{a:.2f}" for a in found.accuracy)
    from checkpoints.data.longtail import groups_by_size

    means = {name: found.group_accuracy(own) for name, own in groups_by_size(counts).items()}
    return ", ".join(f"{name} " + ("-" if a is None else f"{a:.4f}") for name, a in means.items())


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set expects FIELD=VALUE, got {text!r}")
    return key.strip().replace("-", "_"), value.strip()


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError as error:
        raise InputError(f"epochs must read like 10,50,100, got {text!r}") from error


def _default_name(recipe: str, source: str | None, seed: int) -> str:
    from checkpoints import RECIPE_NAMES

    kind = Path((source or "digits").partition(":")[0]).name
    name = recipe if recipe in RECIPE_NAMES else Path(recipe).stem
    return file_name(f"{kind}-{name}-seed{seed}")
