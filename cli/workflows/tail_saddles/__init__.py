"""The study of docs/tail-saddles.md, from its stored results: ``make study``."""

from cli.workflows.tail_saddles.drawing import draw_study_of_tail_saddles
from cli.workflows.tail_saddles.stored import Network, rows_of, stored_results

__all__ = ["Network", "draw_study_of_tail_saddles", "rows_of", "stored_results"]
