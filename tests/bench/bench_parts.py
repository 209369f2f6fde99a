"""What several tests of the bench work with."""

import pytest
import torch

from cli.bench.comparison import peer_libraries as peers
from cli.bench.workload import Workload
from spectra import CrossEntropy

EVERYBODY = (peers.Ours, peers.OursSeveral, *peers.PEERS)


class ScaledByOnePercent(peers.Ours):
    name, mode = "scaled", "one"

    def products(self, vectors):
        return 1.01 * super().products(vectors)


def workload_of(net, *, weights=None) -> Workload:
    return Workload(
        "tiny", net.model, net.images, net.labels, CrossEntropy(), weights, torch.float64, "cpu"
    )


def needs(*kinds: type[peers.Peer]) -> None:
    for package in peers.missing_packages(kinds):
        pytest.skip(f"{package} is not installed; make bench-env installs it")
