"""Checkpoints of ours with all that is known of them, and with nothing."""

import dataclasses

import torch

from checkpoints import Architecture, Checkpoint, build_model, get_recipe
from checkpoints.data import Normalisation
from checkpoints.models import initialise
from spectra import make_generator

ARCHITECTURE = Architecture("digits-resnet", 3, 1, 8)


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        model = build_model(ARCHITECTURE)
    initialise(model, make_generator(seed, "checkpoint"))
    return model.state_dict()


def complete(**fields) -> Checkpoint:
    known = {
        "name": "digits/ce-drw-sam",
        "state": weights(),
        "architecture": ARCHITECTURE,
        "normalisation": Normalisation("data", (0.1 + 0.2,), (1 / 3,), 16.0),
        "epoch": 7,
        "recipe": get_recipe("ce-drw-sam", "digits").with_overrides({"rho_schedule": "0:.1,.5:2"}),
        "class_counts": (9, 5, 3),
        "data": {"source": "digits", "n_max": 9, "imbalance_factor": 1 / 3, "digest": "ab"},
        "metrics": {"train_loss": 0.1 + 0.2, "test": {"accuracy": [0.5, None, 1.0]}},
        "seed": 11,
        "versions": {"torch": "2.0", "hessian-spectra": "0.1"},
        "notes": ("chosen by hand; ρ from a pilot",),
    }
    return Checkpoint(**{**known, **fields})


def bare() -> Checkpoint:
    return Checkpoint(name="bare", state=weights(), architecture=ARCHITECTURE)


def known(checkpoint: Checkpoint) -> dict:
    """Every field but the tensors."""
    return {
        f.name: getattr(checkpoint, f.name)
        for f in dataclasses.fields(checkpoint)
        if f.name != "state"
    }
