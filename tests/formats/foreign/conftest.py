import sys

import pytest
import torch
from foreign_files import OWN_NET, own_weights


@pytest.fixture
def folder(tmp_path):
    """A folder with ``own_net.py``, a module that it imports, and weights of its network."""
    before = set(sys.modules)
    (tmp_path / "own_net.py").write_text(OWN_NET)
    (tmp_path / "own_layers_of_a_test.py").write_text("WIDTH = 4\n")
    torch.save(own_weights(), tmp_path / "net.pth")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("own_") or name.endswith("named_by_the_user"):
            del sys.modules[name]
