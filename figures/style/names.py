"""Text from a result, as a figure shows it: on one line, of a length that fits, and no formula."""

from spectra.system.foreign_text import short_name

# Ours: names are a third of it, and that much goes beside a panel.
LONGEST_NAME = 60
# Ours: of a line across the page.
LONGEST_TITLE = 200
# Ours: of twenty lines below the panels.
LONGEST_CAPTION = 3000


def drawn_name(name: str, most: int = LONGEST_NAME) -> str:
    """Return a name of a recipe, a class, a layer or a run as it is drawn.

    Matplotlib leaves out of a legend what begins with an underscore; a space before it helps.
    """
    shown = short_name(name, most)
    if not shown.strip():
        return repr(shown)
    return _no_formula(f" {shown}" if shown.startswith("_") else shown)


def drawn_title(title: str) -> str:
    """Return a title, which may hold names, as it is drawn."""
    return _no_formula(short_name(title, LONGEST_TITLE))


def drawn_caption(caption: str) -> str:
    """Return a paragraph, which may hold names, as it is drawn."""
    return _no_formula(short_name(caption, LONGEST_CAPTION))


def class_number(label: str) -> int:
    """Return the number of the class that a label means; 0: it means none."""
    return int(label) if label.isdecimal() and len(label) < 19 else 0


def _no_formula(text: str) -> str:
    r"""Return ``text`` for matplotlib, which sets what stands between two dollars as a formula."""
    return text.replace("$", r"\$")
