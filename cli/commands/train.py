"""``spectra train``: train one recipe on long-tailed data."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from checkpoints import choices
from cli.display.lines import note, print_json, print_paths, say, there
from cli.display.progress import reporting
from cli.options import shared
from cli.options.completion import recipe_names
from cli.options.flags import COMPUTING, OUTPUT, RECIPE, Flag, command
from cli.options.values import hold, pick_device
from spectra.errors import InputError
from spectra.results.groups.many import are_many
from spectra.system.files.names import file_name

if TYPE_CHECKING:
    from checkpoints.recipes.recipe import Recipe
    from checkpoints.training.evaluation import ClassMetrics, EpochMetrics
    from checkpoints.training.execution import Execution
    from checkpoints.training.job import TrainingJob


@command(
    short_help="Train one recipe on long-tailed data.",
    examples="""
    # on real digits, which are bundled
    spectra train ce-drw-sam -o runs/mine
    # a network and images of your own, for 30 epochs
    spectra train vs --arch net.py:Net --data folder:photos,32 --epochs 30
    # two processes that share every batch, on a GPU each or on the cores
    torchrun --nproc-per-node 2 -m cli train ce-sam -o runs/by-two
    """,
    over_ranks=True,
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
@Flag(
    "--batch-norm",
    heading=COMPUTING,
    type=click.Choice(choices.BATCH_NORMS),
    default=choices.BATCH_NORMS[0],
    show_default=True,
    help="Of several processes: over each one's own images, or synchronised over the whole batch.",
)
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
    batch_norm: str,
    output: Path | None,
    log_to: tuple[str, ...],
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Train RECIPE, a name (see 'spectra recipes') or a TOML file, and keep checkpoints."""
    from checkpoints import DataRequest
    from checkpoints.training.request import TrainRequest, training_job
    from checkpoints.training.run import train_job
    from spectra.results.writers.open_writers import check_places
    from spectra.system.ranks import world_here

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
        execution=replace(execution, batch_norm=batch_norm),
    )
    world = world_here()
    chosen = pick_device(device)
    folder = output or Path("runs") / _default_name(recipe, source, seed)
    if world.first:
        hold(folder)
    job = training_job(request, folder)
    if "rho" in overrides:
        _check_rho(job.recipe)
    done: list[EpochMetrics] = []
    with _watched(job, log_to, done.append) if world.first else nullcontext() as hears:
        kept = train_job(
            job,
            device=chosen,
            world=world,
            resume=resume,
            other_execution=other_execution,
            on_progress=hears and hears.on_progress,
            on_epoch=hears and hears.on_epoch,
        )
    if world.first:
        _print(kept, done[-1] if done else None, job, as_json)


class _Heard(NamedTuple):
    """What is called after each epoch."""

    on_progress: Callable[[str, int, int], None]
    on_epoch: Callable[["EpochMetrics"], None]


@contextmanager
def _watched(
    job: "TrainingJob", log_to: Sequence[str], keep: Callable[["EpochMetrics"], None]
) -> Iterator[_Heard]:
    """Show how far a training has come, write its curves, and ``keep`` what each epoch came to."""
    from spectra.results.writers.open_writers import writing_to

    name = job.recipe.name
    described = {"recipe": name, "seed": job.seed, "data": job.data.name}
    with (
        writing_to(log_to, job.folder.name, described) as writer,
        reporting(f"training {name}") as report,
    ):

        def on_epoch(metrics: "EpochMetrics") -> None:
            writer.write_values(metrics.values())
            keep(metrics)

        yield _Heard(
            lambda what, epoch, epochs: report.update(f"{name}, {what}, epoch", epoch, epochs),
            on_epoch,
        )


def _print(
    kept: Sequence[Path], last: "EpochMetrics | None", job: "TrainingJob", as_json: bool
) -> None:
    """Print what a training came to; ``last`` is None where nothing was left to train."""
    if as_json:
        last_epoch = None if last is None else last.to_dict()
        print_json({"checkpoints": there(kept), "last_epoch": last_epoch})
        return
    if last is None:
        note(f"{job.folder} was trained already")
    elif last.test is not None:
        say(f"test accuracy {last.test.overall:.4f}; {_by_class(last.test, job.data.class_counts)}")
    else:
        say(f"train accuracy {last.train_accuracy:.4f}; no test images were given")
    say("checkpoints:")
    print_paths(kept)


def _check_rho(recipe: "Recipe") -> None:
    """Raise InputError where a radius was given to a recipe that does not climb."""
    from checkpoints import RECIPE_NAMES

    if recipe.uses_ascent:
        return
    twin = f"{recipe.name}-sam"
    advice = f"take {twin}" if twin in RECIPE_NAMES else "'spectra recipes' lists those that do"
    raise InputError(f"{recipe.name} does not use ρ; leave it out, or {advice}")


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
