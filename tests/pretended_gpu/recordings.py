"""A training on the card that is recorded, beside one that is not."""

from __future__ import annotations

import torch
from torch import nn

import spectra
from pretended_gpu.stage import Facts, Stage, digits, relative


def recording(stage: Stage) -> Facts:
    """Train a network on the second card, with a recorder over images of the CPU and without."""
    first, second = (_trained(stage.second, recorded=recorded) for recorded in (True, False))
    recorder = first.pop("recorder")
    second.pop("recorder")
    found = recorder.analyses[-1]
    on_cpu = _trained("cpu", recorded=True)["recorder"].analyses[-1]
    return {
        "epochs": [analysis.checkpoint.epoch for analysis in recorder.analyses],
        "device": found.protocol.device,
        "the same training": first == second,
        "differs by": max(
            relative(here.lambda_max, there.lambda_max)
            for here, there in zip(found.records, on_cpu.records, strict=True)
        ),
    }


def _trained(device: str, *, recorded: bool) -> Facts:
    checkpoint, data = digits()
    few = data.train.labels >= 6
    images, labels = checkpoint.normalisation(data.train.images[few]), data.train.labels[few]
    recorder = spectra.ClassSpectra((images, labels), every=2, classes=[8, 9], num_steps=4)
    torch.manual_seed(0)
    model = checkpoint.model().to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for epoch in range(1, 5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images.to(device)), labels.to(device)).backward()
        optimizer.step()
        if recorded:
            recorder.record(model, epoch)
    states = [torch.get_rng_state()]
    if torch.device(device).type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return {
        "recorder": recorder,
        "weights": [p.detach().cpu().tolist() for p in model.parameters()],
        "buffers": [b.cpu().tolist() for b in model.buffers()],
        "random states": [state.tolist() for state in states],
        "modes": [module.training for module in model.modules()],
        "where": sorted({str(p.device) for p in model.parameters()}),
    }
