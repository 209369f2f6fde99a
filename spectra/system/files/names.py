"""Names of files that are made of text from a file: of a recipe, a class, a study."""

import hashlib
import re
import unicodedata

from spectra.system.foreign_text import printable

# Ours: file systems take 255 bytes, eCryptfs 143, and callers put something before and after.
MOST_BYTES = 120
# Between the name and the digest; a name that holds it is changed, so that none passes for one.
_MARK = "~"
# Ours: of 64 bits, which nobody meets by chance, and which is still read at a glance.
_DIGITS = 16
# What Windows refuses, and what a shell would act on where somebody copies a path.
_REFUSED = frozenset('<>:"/\\|?*' + "$`;&'!%" + _MARK)
_DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])( *\..*)?", re.IGNORECASE
)


def file_name(text: str) -> str:
    """Return a name for a file or folder that tells ``text`` from every other text.

    It is one part of a path on every system: no separator, not ``..``, nothing that is hidden or
    looks like an option, no name of a device, at most :data:`MOST_BYTES` bytes. A plain text stays
    as it is; wherever something is changed, a digest of the text is appended.

    Args:
        text: whatever a file holds.

    Example:
        >>> from spectra.system.files.names import file_name
        >>> file_name("ce-drw"), file_name("../../README")
        ('ce-drw', 'README~7762005a43c3735b')
    """
    name = "".join(c if _fits(c) else "-" for c in unicodedata.normalize("NFC", text))
    if _DEVICES.fullmatch(name):
        name = f"{_MARK}{name.replace('.', '-')}"
    name = _trimmed(name)
    if name != text or not name or len(name.encode()) > MOST_BYTES:
        room = MOST_BYTES - len(_MARK) - _DIGITS
        name = _trimmed(name.replace(_MARK, "").encode()[:room].decode(errors="ignore"))
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]
        return f"{name or 'unnamed'}{_MARK}{digest}"
    return name


def _fits(character: str) -> bool:
    """Say whether a character goes into the name of a file everywhere, and is seen there."""
    return character not in _REFUSED and printable(character) == character != "\u00a0"


def _trimmed(name: str) -> str:
    """Leave out what hides a file, makes it an option, or is dropped by Windows."""
    return name.lstrip(" .-").rstrip(" .")
