"""A training step recorded as a CUDA graph and replayed: one launch where there were hundreds."""

import logging
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from spectra.system.recording import Recorder, Recording

logger = logging.getLogger(__name__)

Outcome = tuple[Tensor, Tensor]
Step = Callable[[Tensor, Tensor, Tensor], Outcome]

# Of torch's documentation of CUDA graphs. The first step also makes the momentum.
WARM_UP = 3


class CapturedStep:
    """Replays a step where it can, and makes it eagerly where it cannot.

    The first :data:`WARM_UP` steps are made eagerly; they count as any other. The next one is
    recorded, which does nothing to the weights, and replayed. It is recorded anew where what it
    cannot read from its inputs has changed: ``settings`` and the layout of a batch. Batches of
    another size than ``size`` (the last of an epoch) are stepped eagerly. Where recording fails,
    that is said once, and all further steps are eager.

    The loss and hits of a replayed step are overwritten by the next.

    Args:
        step: images (n, ...), labels (n,) and weights (n,) to the loss and hits of the batch. It
            changes nothing but tensors on the device and ``.grad``, which it empties first, and
            reads nothing back.
        size: images of the batches that are worth recording.
        settings: numbers that the step reads when it is recorded: learning rate, ρ.
        clear: empties ``.grad``, so that the recorded step's gradients lie in the graph's memory.
        recorder: records.
    """

    def __init__(
        self,
        step: Step,
        *,
        size: int,
        settings: Callable[[], Hashable],
        clear: Callable[[], None],
        recorder: Recorder,
    ) -> None:
        self.step, self.size, self.settings, self.clear = step, size, settings, clear
        self.recorder = recorder
        self.warm = 0
        self.refused = False
        self.key: Hashable = None
        self.inputs: tuple[Tensor, ...] = ()
        self.recording: Recording[Outcome] | None = None

    def __call__(self, images: Tensor, labels: Tensor, weights: Tensor) -> Outcome:
        """Make one step and return the loss and the hits of the batch."""
        batch = (images, labels, weights)
        if self.refused or len(labels) != self.size:
            return self.step(*batch)
        if self.warm < WARM_UP:
            self.warm += 1
            return self.recorder.warm_up(lambda: self.step(*batch))
        key = (self.settings(), *((t.shape, t.stride(), t.dtype) for t in batch))
        if self.recording is None or key != self.key:
            self._record(batch)
            self.key = key
        if self.recording is None:
            return self.step(*batch)
        for held, given in zip(self.inputs, batch, strict=True):
            held.copy_(given)
        self.recording.replay()
        return self.recording.outcome

    def _record(self, batch: tuple[Tensor, Tensor, Tensor]) -> None:
        """Record the step on inputs of its own; the recording before, and its memory, go first."""
        self.clear()
        self.recording = None
        images, labels, weights = (torch.empty_like(t).copy_(t) for t in batch)
        self.inputs = (images, labels, weights)
        try:
            self.recording = self.recorder.record(lambda: self.step(images, labels, weights))
        except RuntimeError as error:
            self.refused = True
            self.inputs = ()
            self.clear()
            reason = str(error).strip().partition("\n")[0]
            logger.warning(
                "the training step cannot be captured here (%s); it is made eagerly", reason
            )
