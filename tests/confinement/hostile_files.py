"""Files as a stranger makes them."""

import json

import safetensors.torch
import torch

from checkpoints import Architecture, build_model
from checkpoints.formats.native import HEADER_KEY


def write_checkpoint(path, arch="digits-resnet", **metadata):
    """Write a checkpoint of ours, whose metadata are as given."""
    known = {"name": "digits-resnet", "num_classes": 10, "in_channels": 1, "image_size": 8}
    with torch.random.fork_rng(devices=[]):
        state = build_model(Architecture(**known)).state_dict()
    plain = {"schema": 1, "name": "x", "architecture": {**known, "name": arch}, **metadata}
    path.parent.mkdir(exist_ok=True)
    safetensors.torch.save_file(state, path, {HEADER_KEY: json.dumps(plain)})
    return path
