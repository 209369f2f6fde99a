import pytest

from figures import plot_protocols, plot_protocols_over_training
from spectra.results.protocol_rows import ProtocolRow


def protocol_row(label, protocol, ratio):
    fixed = None if "fresh" in protocol else -1.0
    return ProtocolRow(
        label=label, protocol=protocol, n=5, loss=0.1, lambda_min=-1.0, residual_min=None,
        lambda_max=1.0, ratio=ratio, lambda_min_at_most=fixed, verdict="saddle", grad_norm=0.1,
        alpha_over_beta=None, asymmetry=None,
    )  # fmt: skip


def test_protocols_stand_in_the_order_asked_for():
    rows = [protocol_row("8", name, 0.1) for name in ("fresh", "plain", "frozen:2")]
    fig = plot_protocols({"run": rows}, order=("plain", "frozen:4", "fresh"))
    assert [t.get_text() for t in fig.axes[0].get_xticklabels()] == ["plain", "fresh", "frozen:2"]


def test_protocols_over_training_are_lines_filled_where_the_matrix_is_fixed():
    epochs = {
        30: [protocol_row("8", "plain", 0.1), protocol_row("8", "fresh", 0.5)],
        10: [protocol_row("8", "plain", 0.2), protocol_row("8", "fresh", None)],
        20: [protocol_row("0", "plain", 0.3)],
    }
    fig = plot_protocols_over_training(
        epochs, {"plain": "still", "fresh": "moving"}, switch_epoch=20
    )
    drawn = [
        {
            line.get_label(): (list(line.get_xdata()), list(line.get_ydata()), line.get_mfc())
            for line in ax.lines
            if line.get_label().startswith("class")
        }
        for ax in fig.axes
    ]
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["still", "moving"]
    assert drawn[0]["class 8 (5)"][:2] == ([10, 30], [0.2, 0.1])
    assert drawn[0]["class 0 (5)"][:2] == ([20], [0.3])
    assert drawn[1]["class 8 (5)"] == ([30], [0.5], "white")
    assert drawn[0]["class 8 (5)"][2] != "white"


@pytest.mark.parametrize(("runs", "lines"), [(1, [1]), (3, [3]), (5, [3, 2])])
def test_protocols_take_a_second_line_beyond_three_panels(runs, lines):
    row = protocol_row("8", "plain", 0.02)
    fig = plot_protocols({f"run {k}": [row] for k in range(runs)})
    tops = [round(ax.get_position().y1, 3) for ax in fig.axes]
    assert [tops.count(top) for top in dict.fromkeys(tops)] == lines
    # The scale stands before the first panel of each line.
    assert sum(bool(ax.get_ylabel()) for ax in fig.axes) == len(lines)
