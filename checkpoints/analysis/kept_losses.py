"""What is kept of an analysis while it goes on, loss by loss, and when that is taken again."""

import functools
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import spectra
from checkpoints.checkpoint import Checkpoint
from checkpoints.data import ImageData
from spectra import Analysis, LossAnalysis, load_analysis
from spectra.errors import InputError
from spectra.results.analysis import analysis_to_plain
from spectra.results.provenance import CheckpointIdentity
from spectra.system.files.names import file_name
from spectra.system.files.reading import file_digest, read_bytes
from spectra.system.files.sealed_json import digest_of, is_whole, write_sealed
from spectra.system.files.writing import to_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptLoss:
    """One loss's result, and the files of vectors that belong to it, by their SHA-256.

    Attributes:
        record: the result.
        warm_before: the vectors that its solver started from; None: a cold start.
        warm_left: those that it left for the next checkpoint; None: it left none.
        vectors: its file of eigenvectors; None: none was asked for.
    """

    record: LossAnalysis
    warm_before: str | None = None
    warm_left: str | None = None
    vectors: str | None = None

    def has_written(self, vectors: Path) -> bool:
        """Say whether a file of eigenvectors is the one that belongs to this result."""
        return self.vectors is not None and self.vectors == file_digest(vectors)


@dataclass(frozen=True)
class KeptLosses:
    """The results that an analysis keeps in a folder.

    Attributes:
        folder: where they lie.
        header: checkpoint, protocol and versions of the analysis.
        inputs: :func:`inputs_digest` of it.
    """

    folder: Path
    header: Analysis
    inputs: str

    def keep(self, kept: KeptLoss) -> None:
        """Write ``LABEL.json``: a result, what it is of, the code that found it, and a digest.

        Of the checkpoint it has the name, the epoch and the digest: what else a header says may be
        long (8,142 classes have as many sizes), and is known by its digest.
        """
        analysis = replace(
            self.header,
            checkpoint=self._in_short,
            records=(kept.record,),
            versions=self._versions(),
        )
        write_sealed(
            self._path(kept.record.label),
            {
                **analysis_to_plain(analysis),
                "header": self._header_digest,
                "inputs": self.inputs,
                "warm_before": kept.warm_before,
                "warm_left": kept.warm_left,
                "vectors": kept.vectors,
            },
        )

    def load(
        self, labels: Iterable[str], warm_before: Mapping[str, str | None]
    ) -> dict[str, KeptLoss]:
        """Return the results that are whole, of the same inputs, choices and code, by label.

        A warning says of others that they are made again.

        Args:
            labels: of the losses.
            warm_before: the digest of the vectors that each is to start from.
        """
        found, others = {}, 0
        for label in labels:
            path = self._path(label)
            if not os.path.lexists(path):
                continue
            try:
                content = read_bytes(path, "json_file")
            except InputError as error:
                logger.warning("%s; it is made again", error)
                continue
            if not is_whole(content):
                logger.warning("%s is damaged, or of an earlier version, and is made again", path)
                continue
            kept = self._same(path, content, warm_before.get(label))
            if kept is None:
                others += 1
            else:
                found[label] = kept
        if others:
            logger.warning(
                "%s holds %d results of other weights, images, choices or code, which are made "
                "again",
                self.folder,
                others,
            )
        return found

    def _same(self, path: Path, content: bytes, warm_before: str | None) -> KeptLoss | None:
        try:
            kept, plain = load_analysis(path), json.loads(content)
        except (InputError, ValueError, RecursionError):
            return None
        same = (
            kept.checkpoint == self._in_short
            and plain.get("header") == self._header_digest
            and kept.protocol == self.header.protocol
            and kept.versions == self._versions()
            and len(kept.records) == 1
            and self._path(kept.records[0].label) == path
            and plain.get("inputs") == self.inputs
            and plain.get("warm_before") == warm_before
        )
        if not same:
            return None
        return KeptLoss(kept.records[0], warm_before, plain.get("warm_left"), plain.get("vectors"))

    @functools.cached_property
    def _in_short(self) -> CheckpointIdentity:
        """What a file says of the checkpoint itself."""
        whole = self.header.checkpoint
        return CheckpointIdentity(whole.name, epoch=whole.epoch, digest=whole.digest)

    @functools.cached_property
    def _header_digest(self) -> str:
        """SHA-256 of all that the header says."""
        plain = analysis_to_plain(replace(self.header, records=()))
        return hashlib.sha256(to_json(plain).encode()).hexdigest()

    def _path(self, label: str) -> Path:
        return self.folder / f"{file_name(label)}.json"

    def _versions(self) -> dict[str, str]:
        return {**self.header.versions, "code": code_digest()}


@functools.cache
def code_digest() -> str:
    """Return the SHA-256 of the code that finds and names things: ``spectra`` and ``checkpoints``.

    A version number would have to be raised with every rule that changes; this cannot be forgotten.
    """
    h = hashlib.sha256()
    for package in (Path(spectra.__path__[0]), Path(__file__).parents[1]):
        for path in sorted(package.rglob("*.py")):
            h.update(path.relative_to(package.parent).as_posix().encode())
            h.update(path.read_bytes())
    return h.hexdigest()


def inputs_digest(checkpoint: Checkpoint, data: ImageData) -> str:
    """Return the SHA-256 of inputs that a result does not name: it names weights and images.

    These are the test images, the accuracies that the checkpoint records, and the user's own code.
    """
    factory = checkpoint.factory
    plain = {
        "test": data.test_digest(),
        "metrics": dict(checkpoint.metrics),
        "code": None if factory is None else factory.source,
    }
    return digest_of(plain)
