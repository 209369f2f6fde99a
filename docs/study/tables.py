"""The tables of the study, as its documents hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stored import Measured, Network, StoredResults
from wording import NONE, mass, sig

from spectra.results.protocol_rows import ProtocolRow

_COLUMNS = (
    ("loss", "loss"), ("λmin", "lambda_min"), ("± residual", "residual_min"),
    ("λmax", "lambda_max"), ("ratio", "ratio"), ("‖g‖", "grad_norm"),
    ("mean abs(α) / mean β", "alpha_over_beta"),
)  # fmt: skip
# Of a table with a row for each network: heading, protocol, what of its row.
_NETWORK_COLUMNS = (
    ("loss", "plain", "loss"), ("λmin, plain", "plain", "lambda_min"),
    ("λmax, plain", "plain", "lambda_max"), ("ratio, plain", "plain", "ratio"),
    ("frozen:4", "frozen:4", "ratio"), ("fresh, β after", "fresh", "ratio"),
    ("fresh, PyHessian", "fresh/pyhessian", "ratio"),
    ("its mean abs(α) / mean β", "fresh/pyhessian", "alpha_over_beta"),
)  # fmt: skip


def protocols_table(rows: Iterable[ProtocolRow]) -> str:
    """Return every class and protocol of one checkpoint, a row each."""
    return _table(
        ("class", "images", "n", *(name for name, _ in _COLUMNS)),
        [
            [row.label, row.protocol, f"{row.n:,}", *(sig(getattr(row, k)) for _, k in _COLUMNS)]
            for row in rows
        ],
    )


def networks_table(results: StoredResults, titles: Mapping[str, str], label: str) -> str:
    """Return one class of several networks after their last epochs, a row each seed.

    Args:
        results: all that are stored.
        titles: what networks are called here, by their names; the others are left out.
        label: the class.
    """
    networks = {m.network for m in results.measured if m.label == label}
    lines = []
    for name, title in titles.items():
        for network in sorted(n for n in networks if n.name == name):
            rows = results.rows(network, max(results.epochs(network)))
            of = {row.protocol: row for row in rows if row.label == label}
            lines.append([title, str(network.seed), *_cells(of, _NETWORK_COLUMNS)])
    return _table(("network", "seed", *(name for name, _, _ in _NETWORK_COLUMNS)), lines)


def training_table(results: StoredResults, network: Network) -> str:
    """Return every class and epoch of one training, a row each, classes rising."""
    columns = [column for column in _NETWORK_COLUMNS if column[1] != "frozen:4"]
    by_loss: dict[tuple[int, int], dict[str, ProtocolRow]] = {}
    for epoch in results.epochs(network):
        for row in results.rows(network, epoch):
            by_loss.setdefault((int(row.label), epoch), {})[row.protocol] = row
    return _table(
        ("class", "epoch", *(name for name, _, _ in columns)),
        [
            [str(label), str(epoch), *_cells(of, columns)]
            for (label, epoch), of in sorted(by_loss.items())
        ],
    )


def headline_table(results: StoredResults, titles: Mapping[str, str], labels: Sequence[int]) -> str:
    """Return classes of the paper's own network: certified with both bounds, and as published.

    Args:
        results: all that are stored.
        titles: what networks are called here, by their names.
        labels: the classes.
    """
    lines = []
    for name, title in titles.items():
        network = Network(name)
        for label in labels:
            for epoch in results.epochs(network):
                of = {m.protocol: m for m in results.of(network, epoch) if m.label == str(label)}
                if "plain" in of:
                    lines.append([title, str(label), str(epoch), *_headline(of)])
    return _table(
        (
            "network", "class", "epoch", "n", "loss", "λmin", "no less than", "λmax",
            "ratio, certified",
            "fresh, PyHessian", "P × weight of its ends",
        ),
        lines,
    )  # fmt: skip


def _headline(of: Mapping[str, Measured]) -> list[str]:
    plain, fresh = of["plain"], of.get("fresh/pyhessian")
    record = plain.record
    interval = f"{sig(plain.ratio_at_least)} to {sig(plain.ratio_at_most)}"
    if sig(plain.ratio_at_least) == sig(plain.ratio_at_most):
        interval = sig(plain.row.ratio)
    published = carried = NONE
    if fresh is not None:
        ends = f"{sig(fresh.row.lambda_min)} to {sig(fresh.row.lambda_max)}"
        published = f"{sig(fresh.row.ratio)} ({ends})"
        carried = f"{mass(fresh.check.lowest.mass)}, {mass(fresh.check.highest.mass)}"
    return [
        f"{record.n:,}", sig(record.loss), sig(record.lambda_min), sig(plain.lambda_min_at_least),
        sig(record.lambda_max), interval, published, carried,
    ]  # fmt: skip


def _cells(of: Mapping[str, ProtocolRow], columns: Iterable[tuple[str, str, str]]) -> list[str]:
    return [
        sig(getattr(of[protocol], key)) if protocol in of else NONE for _, protocol, key in columns
    ]


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    written = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in written)
