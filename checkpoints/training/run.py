"""Train one network by one recipe, with checkpoints and exact resumption."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from checkpoints.models import build_model, initialise
from checkpoints.training.epochs_by_execution import ComputedEpochs, go_on
from checkpoints.training.evaluation import EpochMetrics, passes_of, with_epoch
from checkpoints.training.images.checked_files import check_files
from checkpoints.training.job import TrainingJob, checkpoint_path, state_path
from checkpoints.training.kept.checkpoints_of_run import check_there, keep_checkpoint
from checkpoints.training.kept.found_state import state_at_switch, state_of_run
from checkpoints.training.parallel.agreement import by_first, share_network
from checkpoints.training.parallel.norms import batch_norms
from checkpoints.training.parallel.shares import ALONE
from checkpoints.training.resume import (
    TrainingState,
    before_switch,
    save_state,
    shared_path,
)
from checkpoints.training.threads import suitable_threads
from checkpoints.training.trainer import Trainer, descent
from spectra.system.files.lock import locked
from spectra.system.files.places import writing_under
from spectra.system.progress import Progress
from spectra.system.ranks import World, check_same
from spectra.system.seeding import derive_seed, make_generator


def train_job(
    job: TrainingJob,
    *,
    device: torch.device | str = "cpu",
    world: World = ALONE,
    resume: bool = False,
    other_execution: bool = False,
    repair: bool = False,
    on_progress: Progress | None = None,
    on_epoch: Callable[[EpochMetrics], None] | None = None,
) -> list[Path]:
    """Train and return the paths of the kept checkpoints, the last epoch's last.

    Every random number comes from (seed, epoch), and everything else that a step depends on is in
    the state saved after each epoch: a run that was killed and resumed writes the same bytes as
    one that was not (same CPU, same number of threads: as many as the images are worth).

    Several processes share every batch: each has images that follow each other in it, drawn and
    augmented as in one process, and gradients are summed over all. So weights are those of one
    process but for the rounding of sums, and for batch norm, which by default sees each process's
    images alone (:attr:`checkpoints.training.execution.Execution.batch_norm`). Rank 0 alone reads
    and writes the folder, and calls ``on_progress`` and ``on_epoch``. A run goes on in any number
    of processes; the checkpoints say which epochs were computed by how many.

    Args:
        job: what to train.
        device: where; of several processes, each its own.
        world: the processes that train together, see :func:`spectra.system.ranks.joined`.
        resume: go on from the last finished epoch if there is one.
        other_execution: go on also where the run was begun in another execution, such as on a GPU
            that is gone: to other bytes, and the checkpoints say which epochs were computed how.
        repair: of a run to resume, train it anew where its state or a checkpoint is damaged or
            gone, which a warning says; off: that is an error.
        on_progress: called after each epoch with (loss and accuracy, epochs done, epochs planned);
            :func:`checkpoints.training.resume.load_history` then has all its numbers.
        on_epoch: called after each epoch with what it came to, once its state is saved.

    Raises:
        InputError: image files are missing or broken; or the folder holds another run, or a run
            and ``resume`` is off; or another process trains into it; or what the run wrote is
            damaged or gone, before it or at its end; or steps are to be captured and ``device`` is
            no GPU; or several processes cannot make these steps, or hold different networks after
            an epoch.
        NonFiniteError: the loss became NaN or infinite; checkpoints before it stay.
        LostRanksError: another process has ended.
    """
    job.execution.check_device(torch.device(device))
    job.execution.check_ranks(job.recipe, world.size)
    job.check()
    with contextlib.ExitStack() as stack:
        stack.enter_context(suitable_threads(job.data))
        by_first(world, lambda: _hold(stack, job.folder))
        by_first(world, lambda: check_files(job.data, job.folder))
        run = _Run(job, torch.device(device), world)
        run.begin(resume, other_execution, repair)
        run.train(on_progress, on_epoch)
    world.wait()  # until rank 0 has let go of the folder
    return [checkpoint_path(job.folder, e) for e in job.kept]


def _hold(stack: contextlib.ExitStack, folder: Path) -> None:
    stack.enter_context(writing_under(folder))
    stack.enter_context(locked(folder))


class _Run:
    """A network on its way, and what is known of its epochs so far.

    Args:
        job: what is trained.
        device: where.
        world: by which processes.
    """

    def __init__(self, job: TrainingJob, device: torch.device, world: World) -> None:
        self.job, self.device, self.world = job, device, world
        self.identity = job.identity()
        check_same(world, {name.replace("_", " "): fact for name, fact in self.identity.items()})
        self.common = None
        if job.shared and job.shares:
            self.common = shared_path(job.shared, self.identity)
        self.model = job.execution.place(_first_model(job), device)
        self.passes = None
        if ":" in job.architecture.name:
            self.passes = passes_of(self.model, job.data, job.architecture.name)
        self.optimizer = descent(job.recipe, self.model, device)
        self.done = job.begun
        self.history: list[dict[str, Any]] = []
        self.computed: tuple[ComputedEpochs, ...] = ()
        self.kept: dict[str, str] | None = {}

    def begin(self, resume: bool, other_execution: bool, repair: bool) -> None:
        """Find where the run goes on, and bring every rank there."""
        job = self.job

        def first() -> int:
            state = state_of_run(job, self.identity, resume, other_execution, repair)
            if state is not None:
                self.kept = state.kept if state.kept is None else dict(state.kept)
            else:
                if job.begun in job.kept:
                    digest = keep_checkpoint(job, self.model, job.begun, {})
                    self.kept = {str(job.begun): digest}
                state = state_at_switch(self.common, self.identity, repair)
            if state is None:
                return job.begun
            self.history, self.computed = state.history, state.computed
            state.restore(self.model, self.optimizer)
            return state.epoch

        self.done = by_first(self.world, first)
        share_network(self.model, self.optimizer, self.world)
        if self.done < job.recipe.epochs and self.world.first:
            several = self.world.size > 1 and batch_norms(self.model)
            self.computed = go_on(
                self.computed,
                self.done,
                job.execution,
                self.device.type,
                ranks=self.world.size,
                batch_norm=job.execution.batch_norm if several else None,
            )

    def train(
        self,
        on_progress: Progress | None,
        on_epoch: Callable[[EpochMetrics], None] | None,
    ) -> None:
        """Train for the epochs that remain, and keep what is to be kept."""
        job, epochs = self.job, self.job.recipe.epochs
        trainer = Trainer(
            job.recipe,
            job.data,
            self.model,
            self.optimizer,
            seed=job.seed,
            device=self.device,
            execution=job.execution,
            passes=self.passes,
            world=self.world,
        )
        for epoch in range(self.done, epochs):
            metrics = replace(trainer.run_epoch(epoch), test=trainer.validate())
            if not self.world.first:
                continue
            self._keep(epoch + 1, metrics)
            if on_progress:
                on_progress(_said(metrics), epoch + 1, epochs)
            if on_epoch:
                on_epoch(metrics)
        if self.world.first:
            check_there(job, self.kept, epochs)

    def _keep(self, done: int, metrics: EpochMetrics) -> None:
        """Write what an epoch leaves: its checkpoint, if it is to be kept, and the run's state."""
        job = self.job
        self.history = with_epoch(self.history, metrics)
        if done in job.kept:
            digest = keep_checkpoint(job, self.model, done, metrics.to_dict(), self.computed)
            if self.kept is not None:
                self.kept[str(done)] = digest
            check_there(job, None, done)
        state = TrainingState.capture(
            self.model, self.optimizer, done, self.history, self.computed, self.kept
        )
        at_switch = done == job.recipe.drw_switch
        if self.common is not None and at_switch and len(self.computed) == 1:
            with writing_under(self.common.parent):
                save_state(self.common, replace(state, kept={}), before_switch(self.identity))
        save_state(state_path(job.folder), state, self.identity)


def _first_model(job: TrainingJob) -> nn.Module:
    """Build the network; a user's own initialisation is kept, seeded, the global RNG untouched."""
    if job.start is not None:
        model = job.start.model()
        # The counts of batch norm's batches, which a model for eval mode does without.
        model.load_state_dict(dict(job.start.state), strict=False)
        return model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(job.seed, "model"))
        model = build_model(job.architecture)
    if ":" not in job.architecture.name:
        initialise(model, make_generator(job.seed, "weights"))
    return model


def _said(metrics: EpochMetrics) -> str:
    """Return what somebody who waits wants to know of an epoch."""
    tested = "" if metrics.test is None else f", test accuracy {metrics.test.overall:.3f}"
    return f"loss {metrics.train_loss:.3g}{tested}"
