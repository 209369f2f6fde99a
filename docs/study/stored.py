"""Results of ``spectra analyze --compare-protocols`` of several networks, seeds and epochs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from checkpoints.analysis.compare_protocols import PROTOCOLS
from spectra import Analysis, load_analysis
from spectra.results.protocol_rows import ProtocolRow, protocol_rows

# Results of one checkpoint by protocol; a protocol's classes may lie in several files.
ByProtocol = dict[str, list[Analysis]]

# Of tables and figures.
ORDER = (*PROTOCOLS[:-2], "frozen:all", *PROTOCOLS[-2:])
_FOLDER = re.compile(r"(?P<name>.+?)(-seed(?P<seed>\d+))?-(?P<epoch>\d{4})(-.+)?")


@dataclass(frozen=True, order=True)
class Network:
    """What was trained.

    Attributes:
        name: how.
        seed: of its training.
    """

    name: str
    seed: int = 0

    @property
    def slug(self) -> str:
        """Its part of the names of folders and files."""
        return f"{self.name}-seed{self.seed}" if self.seed else self.name


def stored_results(folder: Path) -> dict[Network, dict[int, ByProtocol]]:
    """Return results by network and epoch.

    Args:
        folder: holds folders of results, named NAME[-seedK]-EPOCH[-PART].
    """
    found: dict[Network, dict[int, ByProtocol]] = {}
    for path in sorted(folder.glob("*/*.json")):
        named = _FOLDER.fullmatch(path.parent.name)
        if named is None:
            continue
        analysis = load_analysis(path)
        solver = analysis.protocol.solver
        by_peer = solver is not None and solver.engine == "pyhessian"
        protocol = f"{analysis.protocol.images}{'/pyhessian' if by_peer else ''}"
        network = Network(named["name"], int(named["seed"] or 0))
        epochs = found.setdefault(network, {})
        epochs.setdefault(int(named["epoch"]), {}).setdefault(protocol, []).append(analysis)
    return found


def rows_of(results: ByProtocol) -> list[ProtocolRow]:
    """Return the comparison's rows, classes rising, protocols in their order."""
    rows = [
        row
        for protocol, analyses in results.items()
        for analysis in analyses
        for row in protocol_rows({protocol: analysis})
    ]
    return sorted(rows, key=lambda row: (int(row.label), ORDER.index(row.protocol)))
