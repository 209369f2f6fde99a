"""The stored results of the study: which network, which epoch, which images, and what came out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from checkpoints.analysis.compare_protocols import PROTOCOLS
from spectra import Analysis, InputError, load_analysis
from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.spectrum_check import SpectrumCheck
from spectra.results.protocol_rows import ProtocolRow, protocol_rows

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


@dataclass(frozen=True)
class Measured:
    """One class of one network under one choice of images.

    Attributes:
        network: what was trained.
        epoch: after which epoch.
        analysis: the result, with this class's record alone.
    """

    network: Network
    epoch: int
    analysis: Analysis

    @property
    def record(self) -> LossAnalysis:
        """All that was found of the class."""
        return self.analysis.records[0]

    @property
    def label(self) -> str:
        """The class."""
        return self.record.label

    @property
    def draws(self) -> int:
        """Seed of the images' draws and of the start vector."""
        solver = self.analysis.protocol.solver
        return solver.seed if solver is not None else 0

    @property
    def protocol(self) -> str:
        """Choice of images, and the recurrence where it is not ours."""
        solver = self.analysis.protocol.solver
        by_peer = solver is not None and solver.engine == "pyhessian"
        return f"{self.analysis.protocol.images}{'/pyhessian' if by_peer else ''}"

    @cached_property
    def row(self) -> ProtocolRow:
        """Its line of the tables: of PyHessian's recurrence what that says, unchecked."""
        row = protocol_rows({self.protocol: self.analysis})[0]
        if not row.by_recurrence or row.node_min is None or row.node_max is None:
            return row
        return replace(
            row,
            lambda_min=row.node_min,
            lambda_max=row.node_max,
            ratio=row.node_ratio,
            residual_min=None,
            lambda_min_at_most=None,
        )

    @cached_property
    def check(self) -> SpectrumCheck:
        """Whether its ends carry the mass that eigenvalues carry.

        Raises:
            InputError: no quadrature is stored.
        """
        if self.record.spectrum is None:
            raise InputError(f"{self.network} class {self.label}: no quadrature is stored")
        return SpectrumCheck.of(self.record.spectrum)

    @property
    def bounded(self) -> bool:
        """Whether both ends are bounded from outside."""
        known = self.record.certificates
        return known is not None and all(end.beyond is not None for end in known)

    @property
    def lambda_min_at_least(self) -> float:
        """No eigenvalue lies below this, with 95 % over the start vector.

        Raises:
            InputError: nothing bounds it.
        """
        return self._beyond(0)

    @property
    def lambda_max_at_most(self) -> float:
        """No eigenvalue lies above this, with 95 % over the start vector.

        Raises:
            InputError: nothing bounds it.
        """
        return self._beyond(1)

    @property
    def ratio_at_least(self) -> float:
        """|λmin/λmax| is no less: from the attained λmin and the largest λmax there may be."""
        return abs(self.record.lambda_min) / self.lambda_max_at_most

    @property
    def ratio_at_most(self) -> float:
        """|λmin/λmax| is no more: from the smallest λmin there may be and the attained λmax."""
        return abs(self.lambda_min_at_least) / self.record.lambda_max

    def _beyond(self, end: int) -> float:
        known = self.record.certificates
        beyond = known[end].beyond if known is not None else None
        if beyond is None:
            raise InputError(f"{self.network} class {self.label} {self.protocol}: no bound stored")
        return beyond


@dataclass(frozen=True)
class StoredResults:
    """Every result of the study.

    Attributes:
        measured: one class, network, epoch and choice of images each.
    """

    measured: tuple[Measured, ...]

    def one(
        self, network: Network, epoch: int, label: int | str, protocol: str, *, draws: int = 0
    ) -> Measured:
        """Return one result; of several, the one whose ends are bounded from outside.

        Args:
            network: what was trained.
            epoch: after which.
            label: the class.
            protocol: choice of images and recurrence.
            draws: seed of draws and start vector.

        Raises:
            InputError: none is stored, or several are.
        """
        found = [
            m for m in self.measured
            if (m.network, m.epoch, m.label, m.protocol, m.draws)
            == (network, epoch, str(label), protocol, draws)
        ]  # fmt: skip
        chosen = [m for m in found if m.bounded] or found
        if len(chosen) != 1:
            said = f"{network} epoch {epoch} class {label} {protocol} draws {draws}"
            raise InputError(f"expected one stored result of {said}, found {len(chosen)}")
        return chosen[0]

    def epochs(self, network: Network) -> list[int]:
        """Return the epochs of which results are stored, rising."""
        return sorted({m.epoch for m in self.measured if m.network == network})

    def of(self, network: Network, epoch: int) -> list[Measured]:
        """Return what is known after one epoch, by the first draws, classes rising."""
        keys = {
            (m.label, m.protocol)
            for m in self.measured
            if (m.network, m.epoch, m.draws) == (network, epoch, 0)
        }
        ordered = sorted(keys, key=lambda key: (int(key[0]), ORDER.index(key[1])))
        return [self.one(network, epoch, label, protocol) for label, protocol in ordered]

    def rows(self, network: Network, epoch: int) -> list[ProtocolRow]:
        """Return the lines of :meth:`of`."""
        return [m.row for m in self.of(network, epoch)]


def stored_results(folder: Path) -> StoredResults:
    """Return all results that lie in a folder.

    Args:
        folder: holds folders of results, named NAME[-seedK]-EPOCH[-PART].
    """
    found = []
    for path in sorted(folder.glob("*/*.json")):
        named = _FOLDER.fullmatch(path.parent.name)
        if named is None:
            continue
        analysis = load_analysis(path)
        network = Network(named["name"], int(named["seed"] or 0))
        found += [
            Measured(network, int(named["epoch"]), replace(analysis, records=(record,)))
            for record in analysis.records
        ]
    return StoredResults(tuple(found))
