"""A reference, and BibTeX of it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """What is known of a publication.

    Attributes:
        key: what texts cite it by.
        kind: of the entry: ``article``, ``inproceedings``, ``book`` ...
        fields: of the entry, as LaTeX; what is not certain is left out.
    """

    key: str
    kind: str
    fields: Mapping[str, str]

    def bibtex(self) -> str:
        """Return the entry.

        >>> from spectra.results.citations.reference import Reference
        >>> print(Reference("lanczos1950", "article", {"year": "1950"}).bibtex())
        @article{lanczos1950,
          year = {1950},
        }
        """
        lines = [f"  {name} = {{{value}}}," for name, value in self.fields.items()]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


def article(key: str, author: str, title: str, journal: str, year: int, **more: str) -> Reference:
    """Return a reference to an article; ``more``: volume, number, pages."""
    fields = {"author": author, "title": title, "journal": journal, "year": str(year), **more}
    return Reference(key, "article", fields)


def paper(key: str, author: str, title: str, booktitle: str, year: int) -> Reference:
    """Return a reference to a paper of a conference."""
    fields = {"author": author, "title": title, "booktitle": booktitle, "year": str(year)}
    return Reference(key, "inproceedings", fields)


def book(key: str, author: str, title: str, publisher: str, year: int, **more: str) -> Reference:
    """Return a reference to a book; ``more``: edition."""
    fields = {"author": author, "title": title, "publisher": publisher, "year": str(year), **more}
    return Reference(key, "book", fields)
