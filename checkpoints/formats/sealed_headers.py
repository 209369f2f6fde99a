"""Digests that our safetensors files carry of their own content: a flipped bit is found."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from spectra.classes.identity import weights_digest

# Last of the JSON in a file's header. Safetensors keeps entries of a header in no order, so that a
# second entry would cost equal files their equal bytes.
SEAL = "sha256"
# Of all our headers: other tools keep JSON with digests too.
_BEGINNING = '{"schema": '


def sealed(plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the JSON of a header, with the SHA-256 of all else in it and of the tensors."""
    content = json.dumps(plain) + weights_digest(tensors)
    return json.dumps({**plain, SEAL: hashlib.sha256(content.encode()).hexdigest()})


def broken(text: str, tensors: Mapping[str, Tensor]) -> bool:
    """Say whether a header or the tensors are not what was sealed; False where nothing was.

    Args:
        text: the JSON of the header, as it lies in the file.
        tensors: as they were read.
    """
    plain = json.loads(text)
    if SEAL not in plain:
        return _names_a_seal(text)
    del plain[SEAL]
    return sealed(plain, tensors) != text


def lost_its_name(header: Mapping[str, str], name: str) -> bool:
    """Say whether a header holds sealed JSON of ours under another name than ``name``: damaged."""
    return name not in header and any(
        text.startswith(_BEGINNING) and _names_a_seal(text) for text in header.values()
    )


def _names_a_seal(text: str) -> bool:
    """Say whether a digest stands where :func:`sealed` puts it, whatever it is called there."""
    return re.search(r'": "[0-9a-f]{64}"\}$', text) is not None
