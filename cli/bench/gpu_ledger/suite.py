"""What every step gets: the request, the references, and what the steps before it found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch

from checkpoints import ImageData
from cli.bench.gpu_ledger.ledger import Ledger
from cli.bench.gpu_ledger.step import Step
from cli.bench.gpu_ledger.suite_request import SuiteRequest
from cli.bench.gpu_references.prepared_folder import Prepared
from cli.bench.gpu_references.sizes import Sizes
from cli.bench.gpu_references.subjects import reference_workload
from cli.bench.workload import Workload

# Images up to which an H100 waits for launches: products of 50, 83 and 256 took the same time.
LAUNCH_BOUND = 256


@dataclass(frozen=True)
class Suite:
    """One run.

    Attributes:
        request: what is asked for.
        prepared: images, network and references.
        ledger: what is done.
    """

    request: SuiteRequest
    prepared: Prepared
    ledger: Ledger

    @property
    def sizes(self) -> Sizes:
        """How large everything is."""
        return self.request.sizes

    @cached_property
    def training_images(self) -> ImageData:
        """The data without test images, which would be evaluated anew with every analysis."""
        return replace(self.prepared.data, test=None)

    @property
    def device(self) -> str:
        """Where products are made and networks trained."""
        return self.request.device

    @property
    def on_gpu(self) -> bool:
        """Whether that is a GPU."""
        return self.request.on_gpu

    def workload(self, label: int, n: int) -> Workload:
        """Return the mean loss of the first ``n`` images of a class, in float32 on the device."""
        return reference_workload(
            self.prepared.checkpoint,
            self.prepared.data,
            label,
            n,
            dtype=torch.float32,
            device=self.device,
        )

    def each_class(self, step: Step, work: Callable[["Suite", int], Mapping[str, Any]]) -> None:
        """Do ``work`` for every class that has images, rarest first, as an item each.

        The class before, which is the next smaller one, says how long this one takes.
        """
        counts, before = self.prepared.data.class_counts, (0.0, 1)
        for label in sorted(range(len(counts)), key=counts.__getitem__):
            if not counts[label]:
                continue
            found = step.item(
                f"class {label}",
                partial(work, self, label),
                estimate=scaled_seconds(*before, counts[label]),
            )
            if found is not None and found.seconds is not None:
                before = found.seconds, counts[label]


def scaled_seconds(seconds: float, images: int, wanted: int) -> float:
    """Return what ``wanted`` images will take where ``images`` took ``seconds``."""
    return seconds * max(wanted, LAUNCH_BOUND) / max(images, LAUNCH_BOUND)
