"""The tables of the study, as its document holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stored import Network

from spectra.results.protocol_rows import ProtocolRow

_COLUMNS = (
    ("loss", "loss"), ("λmin", "lambda_min"), ("± residual", "residual_min"),
    ("λmax", "lambda_max"), ("ratio", "ratio"), ("‖g‖", "grad_norm"),
    ("mean abs(α) / mean β", "alpha_over_beta"),
)  # fmt: skip
# Of a table with a row for each network: heading, protocol, what of its row.
_NETWORK_COLUMNS = (
    ("loss", "plain", "loss"), ("λmin, plain", "plain", "lambda_min"),
    ("± residual", "plain", "residual_min"), ("λmax, plain", "plain", "lambda_max"),
    ("ratio, plain", "plain", "ratio"), ("frozen:4", "frozen:4", "ratio"),
    ("fresh, β after", "fresh", "ratio"), ("fresh, PyHessian", "fresh/pyhessian", "ratio"),
    ("its mean abs(α) / mean β", "fresh/pyhessian", "alpha_over_beta"),
)  # fmt: skip


def protocols_table(rows: Iterable[ProtocolRow]) -> str:
    """Return every class and protocol of one checkpoint, a row each."""
    return _table(
        ("class", "images", "n", *(name for name, _ in _COLUMNS)),
        [
            [row.label, row.protocol, str(row.n), *(_figure(row, k) for _, k in _COLUMNS)]
            for row in rows
        ],
    )


def networks_table(
    networks: Mapping[Network, Iterable[ProtocolRow]], titles: Mapping[str, str], label: str
) -> str:
    """Return one class of several networks, a row each.

    Args:
        networks: rows of each.
        titles: what networks are called here, by their names; the others are left out.
        label: the class.
    """
    lines = []
    for name, title in titles.items():
        for network in sorted(n for n in networks if n.name == name):
            of = {r.protocol: r for r in networks[network] if r.label == label}
            cells = [_figure(of.get(protocol), key) for _, protocol, key in _NETWORK_COLUMNS]
            lines.append([title, str(network.seed), *cells])
    return _table(("network", "seed", *(name for name, _, _ in _NETWORK_COLUMNS)), lines)


def training_table(epochs: Mapping[int, Iterable[ProtocolRow]]) -> str:
    """Return every class and epoch of one run, a row each, classes rising.

    Args:
        epochs: rows of each.
    """
    columns = [column for column in _NETWORK_COLUMNS if column[1] != "frozen:4"]
    by_loss: dict[tuple[int, int], dict[str, ProtocolRow]] = {}
    for epoch, rows in epochs.items():
        for row in rows:
            by_loss.setdefault((int(row.label), epoch), {})[row.protocol] = row
    return _table(
        ("class", "epoch", *(name for name, _, _ in columns)),
        [
            [str(label), str(epoch), *(_figure(of.get(p), key) for _, p, key in columns)]
            for (label, epoch), of in sorted(by_loss.items())
        ],
    )


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    written = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in written)


def _figure(row: ProtocolRow | None, key: str) -> str:
    value = None if row is None else getattr(row, key)
    return "–" if value is None else f"{value:.3g}"
