"""What every rank of a job finds, as JSON in a file of its own: ``sums_together.py FOLDER``."""

import json
import sys
from pathlib import Path

import torch

from spectra.system.ranks import joined, world_here

with joined() as world:
    held = torch.full((3,), world.rank + 0.5, dtype=torch.float64)
    found = {
        "sum": world.add_up(held).tolist(),
        "in place": held.tolist(),
        "float32": world.add_up(torch.ones(2)).dtype == torch.float32,
        "gathered": world.gather({"rank": world.rank}),
        "broadcast": world.broadcast(f"from {world.rank}"),
        "tensor": world.share_tensor(torch.tensor([world.rank + 7.0])).tolist(),
        "here": world_here() == world,
        "on machine": world.on_machine,
    }
    world.wait()
found["after"] = world_here().size
Path(sys.argv[1], f"{world.rank}.json").write_text(json.dumps(found))
