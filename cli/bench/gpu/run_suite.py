"""The steps in their order, each with its share of the seconds."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict

import torch

from checkpoints.training.threads import one_thread
from cli.bench.gpu import small_losses
from cli.bench.gpu.summary_table import summary_rows
from cli.bench.gpu_ledger.ledger import Ledger
from cli.bench.gpu_ledger.pack import pack
from cli.bench.gpu_ledger.results import DONE, STOPPED, Item, SuiteResults
from cli.bench.gpu_ledger.step import Budget, Say, Step
from cli.bench.gpu_ledger.suite import Suite
from cli.bench.gpu_ledger.suite_request import SuiteRequest
from cli.bench.gpu_references.make_references import prepare
from cli.bench.gpu_references.prepared_folder import read_prepared
from cli.bench.gpu_references.toy import toy_checkpoint, toy_data
from cli.bench.gpu_steps import (
    card,
    correctness,
    densities,
    executions,
    extremes,
    networks,
    products,
    trainings,
    tunings,
)
from spectra.classes.identity import library_versions
from spectra.errors import InputError

# The seconds that each step gets of 570; of more or fewer it gets the same share, and what one
# leaves the next ones have. The first four are what they took on an H100, and so is the training: a
# recipe's 200 epochs of 1.75 s. Small losses were never run on a card: 30 s are a guess. What a
# training gave is to be analyzed while the card is there.
STEPS: tuple[tuple[str, float, Callable[[Suite, Step], None]], ...] = (
    ("card", 5, card.run),
    ("correctness", 18, correctness.run),
    ("tunings", 27, tunings.run),
    ("executions", 11, executions.run),
    ("products", 43, products.run),
    ("extremes", 40, extremes.run),
    ("small losses", 30, small_losses.run),
    ("trainings", 365, trainings.run),
    ("networks", 21, networks.run),
    ("densities", 10, densities.run),
)
OF_TRAININGS = ("trainings", "networks")
ABORTED = "aborted"


def run_suite(request: SuiteRequest, *, say: Say | None = None) -> SuiteResults:
    """Run every step; each item is on disk before the next begins.

    A repeated run in the same folder takes finished items from there. What fails is recorded and
    the rest goes on, but where the default way is not right against float64 the run ends.

    Args:
        request: what to run.
        say: called with a line an item; None: standard error gets them.

    Returns:
        What ``folder/results.json`` holds.

    Raises:
        InputError: there are no references, or there is no GPU and it is no dry run.
    """
    if request.on_gpu and not torch.cuda.is_available():
        raise InputError("there is no GPU here; --dry-run walks the same steps on the CPU")
    if not (request.on_gpu or request.dry_run):
        raise InputError(
            f"the suite is for GPUs, got device {request.device}; --dry-run walks the same steps "
            "on the CPU"
        )
    # On a busy machine a second thread costs toy networks a factor of ten.
    with one_thread(request.dry_run):
        return _run(request, say)


def _run(request: SuiteRequest, say: Say | None) -> SuiteResults:
    if request.dry_run:
        _toy_references(request)
    budget = Budget(request.seconds)
    prepared = read_prepared(request.references, request.sizes)
    ledger = Ledger(
        request.folder,
        device=request.device,
        budget=budget,
        identity={
            "references": prepared.identity,
            "sizes": asdict(request.sizes),
            "versions": library_versions(),
            "device": torch.cuda.get_device_name(request.device) if request.on_gpu else "cpu",
        },
        say=say,
    )
    suite = Suite(request, prepared, ledger)
    runs = {name: run for name, _, run in STEPS}
    for name, share in step_ends(request.trained).items():
        run, step = runs[name], ledger.step(name, share)
        try:
            run(suite, step)
        except Exception as problem:  # a step's failure is a result; the others go on
            text = " ".join(str(problem).split())[-300:]
            step.items["step"] = Item("failed", f"{type(problem).__name__}: {text}")
            ledger.say(f"{name}: failed ({step.items['step'].reason})")
        step.close()
        ledger.table = summary_rows(ledger)  # so that a kill leaves it too
        if name == "correctness" and (wrong := correctness.wrong(step)):
            ledger.status, ledger.reason = ABORTED, f"not right: {'; '.join(wrong)}"
            break
    else:
        statuses = {step.status for step in ledger.steps}
        ledger.status = STOPPED if statuses & {STOPPED, "skipped"} else DONE
        said = [f"{step.name}: {step.reason}" for step in ledger.steps if step.reason]
        ledger.reason = "; ".join(said) or None
    ledger.save()
    left_out = pack(request.folder).left_out
    if left_out:
        ledger.say(f"not packed, for want of room: {', '.join(left_out)}")
    return ledger.results()


def step_ends(trained: Sequence[str]) -> dict[str, float]:
    """Return the steps in their order, and the share of all seconds that each ends at."""
    seconds = {name: s for name, s, _ in STEPS if trained or name not in OF_TRAININGS}
    ends = itertools.accumulate(seconds.values())
    return {name: end / sum(seconds.values()) for name, end in zip(seconds, ends, strict=True)}


def _toy_references(request: SuiteRequest) -> None:
    """Make references of a toy network, unless a dry run has made them before."""
    try:
        read_prepared(request.references, request.sizes)
    except InputError:
        prepare(
            request.references,
            sizes=request.sizes,
            data=toy_data(),
            network=toy_checkpoint(),
        )
