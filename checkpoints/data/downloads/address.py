"""Where files are fetched from: https alone, but on this machine."""

from string import punctuation
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from spectra.errors import InputError

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_FORM = "expected https://HOST/PATH"


def read_address(url: str) -> SplitResult:
    """Return an address in its parts.

    Raises:
        InputError: it cannot be read, or is not of https; http is for this machine alone.

    Example:
        >>> read_address("https://example.org/a.tar.gz").hostname
        'example.org'
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        raise InputError(
            f"the address {url!r} has letters that addresses have not; write them as %XX"
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # each is read when it is asked for
        (host or "").encode("idna")
    except ValueError as error:
        raise InputError(f"cannot read the address {url!r}: {error}; {_FORM}") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _THIS_MACHINE):
        raise InputError(f"downloads go over https only, got {url}; give an https address")
    if not host or parts.username is not None:
        raise InputError(f"the address {url!r} has no host, or a name before it; {_FORM}")
    return parts


def read_redirect(url: str, place: str) -> None:
    """Check where a server at ``url`` sends to.

    Raises:
        InputError: not to an address as above, or from https to http.
    """
    try:
        whole = urljoin(url, quote(place, encoding="iso-8859-1", safe=punctuation))
        parts = read_address(whole)
    except (InputError, ValueError) as error:
        raise InputError(f"{url} sends on to another address: {error}") from None
    if parts.scheme == "http" and urlsplit(url).scheme == "https":
        raise InputError(f"{url} sends on to {whole}, and downloads go over https only")
