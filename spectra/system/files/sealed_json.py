"""JSON that carries a digest of itself: an edited digit or a flipped bit is found."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spectra.system.files.writing import to_json, write_atomically

_SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n\}\n\Z')


def write_sealed(path: Path, plain: Mapping[str, Any]) -> None:
    """Write an object as JSON, atomically, its last key ``sha256`` the digest of all before it."""
    content = to_json(plain).encode().removesuffix(b"\n}\n")
    digest = hashlib.sha256(content).hexdigest()
    write_atomically(path, content + f',\n "sha256": "{digest}"\n}}\n'.encode())


def is_whole(content: bytes) -> bool:
    """Say whether ``content`` is what :func:`write_sealed` wrote, byte by byte."""
    found = _SEAL.search(content)
    if found is None:
        return False
    return hashlib.sha256(content[: found.start()]).hexdigest() == found[1].decode()


def digest_of(facts: Any) -> str:
    """Return the SHA-256 of what JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
