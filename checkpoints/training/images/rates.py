"""Whether images are decoded as fast as a network is trained on them: both measured."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from checkpoints.data.dataset import ImageData
from checkpoints.data.photos.crops import CROP_ROWS, change_colours, draw_views
from checkpoints.data.photos.photos import Photos
from checkpoints.data.photos.workers import Workers
from checkpoints.models import Architecture, build_model
from spectra.errors import InputError
from spectra.system.seeding import make_generator

# Ours: seconds that each of the two is measured for.
_LONG = 10.0


@dataclass(frozen=True)
class Rates:
    """Images a second, each measured while the other waits.

    Attributes:
        decoded: random crops that the worker processes hand over.
        trained: images that the network steps on, coloured on the device.
        workers: processes that decode.
        batch_size: images a step.
        network: its name.
        device: where it trains.
    """

    decoded: float
    trained: float
    workers: int
    batch_size: int
    network: str
    device: str


def measure_rates(
    data: ImageData,
    network: str,
    *,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
    workers: Workers | None = None,
    seconds: float = _LONG,
) -> Rates:
    """Measure how fast the training images are decoded, and how fast a network trains on them.

    Cost: twice ``seconds``, the start of the processes, and two steps.

    Args:
        data: images that lie in files.
        network: of :func:`checkpoints.models.build_model`.
        batch_size: images a step.
        device: of the steps.
        workers: decode; None: as many as there are cores.
        seconds: that each is measured for.

    Raises:
        InputError: the images lie in memory, or there is no such network.
    """
    photos = data.train
    if not isinstance(photos, Photos):
        raise InputError(f"the images of {data.name} lie in memory and are not decoded")
    device, workers = torch.device(device), workers or Workers()
    generator = make_generator(0, "rates")
    # As often as it takes: more than anybody decodes in the time.
    order = torch.randint(len(photos), (int(20_000 * seconds) + batch_size,), generator=generator)
    draws = draw_views(len(order), generator)
    pieces = workers.map(photos.to_decode(order, draws[:CROP_ROWS]))
    batch = next(pieces).images
    begun, done = time.perf_counter(), 0
    for piece in pieces:
        done += len(piece.images)
        if time.perf_counter() - begun > seconds:
            break
    decoded = done / (time.perf_counter() - begun)
    some = torch.arange(batch_size)
    images = batch[some % len(batch)].to(device)
    labels = photos.labels[some % len(photos)].to(device)
    model = build_model(
        Architecture(network, data.num_classes, photos.shape[0], photos.size, "linear")
    ).to(device)
    views = draws[:, :batch_size].to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)

    def step() -> None:
        outputs = model(data.normalisation(change_colours(images, views, flip=True)))
        loss = nn.functional.cross_entropy(outputs, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        float(loss.detach())  # waits for a device

    trained = batch_size / _seconds_of(step, seconds)
    return Rates(decoded, trained, workers.count, batch_size, network, str(device))


def _seconds_of(step: Callable[[], None], seconds: float) -> float:
    step()  # which makes what is made once
    begun, steps = time.perf_counter(), 0
    while not steps or time.perf_counter() - begun < seconds:
        step()
        steps += 1
    return (time.perf_counter() - begun) / steps
