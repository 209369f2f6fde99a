"""What an analysis is going to take, and what is wrong here, as a person reads it."""

from collections.abc import Sequence

from checkpoints.analysis.forecasts.forecast import AnalysisForecast, Seconds
from cli.display.lines import say, tell
from cli.display.tables import Table, print_table
from cli.display.words import duration, number
from spectra.system.troubles import Trouble

_GIB = 2**30


def forecast_table(name: str, forecast: AnalysisForecast) -> Table:
    """Return the table of the losses, with what all of them take below."""
    rows = [
        [
            loss.label,
            str(loss.images),
            f"{loss.products.usual:,.0f}",
            f"{loss.products.least:,.0f} to {loss.products.most:,.0f}",
            _span(loss.seconds.usual),
        ]
        for loss in forecast.losses
    ]
    return Table(
        f"{name}: what an analysis would take here",
        ["class", "images", "products", "least to most", "time"],
        rows,
        meanings={
            "products": "Hessian-vector products times images, as such networks have needed",
            "least to most": "if all converges at once, if all goes to its limit",
        },
    )


def forecast_lines(forecast: AnalysisForecast) -> list[str]:
    """Return the sum of all, a thought each."""
    cores = "" if forecast.device != "cpu" else f" with {_threads(forecast.threads)}"
    room = "all" if forecast.keeps_all else "a part"
    said = [
        f"time: {_range(forecast.seconds)}",
        f"memory: {_gib(forecast.memory)} GiB of the {_gib(forecast.memory_limit)} GiB that "
        f"--memory allows; {room} of the work is kept between products",
        f"measured: {1000 * forecast.seconds_a_product:.3g} ms a product and image on "
        f"{forecast.device}{cores}, {forecast.parameters:,} parameters, by {forecast.products}",
    ]
    if forecast.left_out:
        said.append(f"not in this forecast: what {' and '.join(forecast.left_out)} would add")
    said += [f"{f.option} would take {_span(f.seconds)}" for f in forecast.faster]
    return said


def troubles_of(forecast: AnalysisForecast) -> list[Trouble]:
    """Return what makes an analysis slower than it has to be."""
    found = []
    if forecast.slow_because:
        found.append(
            Trouble(
                f"products are made by double backward, the slow way ({forecast.slow_because})",
                "a forward pass without branches on values of tensors is read by torch.fx; "
                "docs/foreign-models.md says what else is",
            )
        )
    if not forecast.keeps_all:
        found.append(
            Trouble(
                f"memory of {_gib(forecast.memory_limit)} GiB keeps a part of the work between "
                "products alone: each takes up to half as long again",
                "raise --memory, or take --images-per-class",
            )
        )
    return found


def print_forecast(name: str, forecast: AnalysisForecast) -> None:
    """Print what an analysis is going to take."""
    print_table(forecast_table(name, forecast))
    say("", "in all:")
    tell(*forecast_lines(forecast))


def print_troubles(troubles: Sequence[Trouble]) -> None:
    """Print what is wrong and how to mend it."""
    if not troubles:
        say("", "nothing to mend")
        return
    say("", "what to mend:")
    tell(*(f"{trouble.what}; {trouble.mend}" for trouble in troubles))


def _range(seconds: Seconds) -> str:
    least, usual, most = map(_span, (seconds.least, seconds.usual, seconds.most))
    return f"{usual} ({least} at least, {most} at most)"


def _span(seconds: float) -> str:
    return f"{number(seconds, 2)} s" if seconds < 10 else duration(seconds)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _gib(count: int) -> str:
    return number(count / _GIB)
