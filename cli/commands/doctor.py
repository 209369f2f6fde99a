"""``spectra doctor``: is this installation sound, and what would an analysis take here?"""

import importlib.metadata
from typing import TYPE_CHECKING, Any

import click

from cli.display.lines import note, print_json, say
from cli.display.progress import reporting
from cli.display.tables import Table, print_table
from cli.options import shared
from cli.options.analysis import AskedAnalysis, analysis_flags
from cli.options.flags import command
from cli.options.values import pick_device
from spectra.errors import SpectraError

if TYPE_CHECKING:
    from checkpoints import LoadOptions
    from checkpoints.analysis.forecasts.forecast import AnalysisForecast

# Beside those that every result names.
_PACKAGES = (
    "pyhessian", "matplotlib", "scikit-learn", "safetensors", "msgspec", "filelock", "click",
    "rich",
)  # fmt: skip


@command(
    short_help="Is this installation sound? How long would an analysis take?",
    examples="""
    # is this installation sound?
    spectra doctor
    # how long would this analysis take, in how much memory?
    spectra doctor bundled:digits/ce-drw --classes tail
    """,
)
@click.argument("checkpoint", required=False)
@shared.source
@shared.profile
@shared.loading
@analysis_flags
@shared.as_json
def doctor(
    checkpoint: str | None,
    source: str | None,
    profile: dict[str, Any],
    loading: "LoadOptions",
    asked: AskedAnalysis,
    as_json: bool,
) -> None:
    """Check this installation, and forecast what an analysis of CHECKPOINT would take.

    Without CHECKPOINT: versions and devices, the bundled files, and a comparison with a dense
    Hessian. With it: the time and memory that 'spectra analyze' would take with the same options,
    from the products that it plans and the time that one takes here. Either way it says what is
    wrong, and how to mend it.
    """
    import torch

    from checkpoints.bundled_files import verify_bundled
    from cli.display.forecasts import print_forecast, print_troubles, troubles_of
    from spectra.classes.identity import library_versions
    from spectra.engines.self_test import dense_self_test
    from spectra.results.plain import to_plain
    from spectra.system.cards import cards
    from spectra.system.troubles import troubles_here

    chosen = pick_device(asked["device"])
    needed = {package: _version(package) for package in _PACKAGES}
    troubles = troubles_here(needed)
    versions = library_versions() | {name: found or "missing" for name, found in needed.items()}
    with reporting("comparing with a dense Hessian"):
        tests = {
            name: dense_self_test(chosen, dtype=dtype)
            for name, dtype in (("float64", torch.float64), ("float32", torch.float32))
        }
        bundled = verify_bundled()
    passed = all(test.passed for test in tests.values())
    forecast = None
    if checkpoint is not None:
        forecast = _forecast(checkpoint, source, profile, loading, asked)
        troubles += troubles_of(forecast)
    if as_json:
        print_json(
            {
                "versions": versions,
                "device": chosen,
                "cards": [vars(card) for card in cards()],
                "bundled_files": bundled,
                "self_test": {name: vars(test) for name, test in tests.items()},
                "passed": passed,
                "forecast": to_plain(forecast),
                "troubles": [vars(trouble) for trouble in troubles],
            }
        )
    else:
        if forecast is None:
            print_table(
                Table("Versions", ["package", "version"], [[k, v] for k, v in versions.items()])
            )
            for card in cards():
                say(card.describe())
            say(f"device {chosen}; {bundled} bundled checkpoints match their manifest")
            print_table(Table(
                "Self-test against a dense float64 Hessian (errors over max|λ|)",
                ["dtype", "product", "λmin", "λmax", "allowed", "passed"],
                [
                    [name, f"{t.product:.1e}", f"{t.lambda_min:.1e}", f"{t.lambda_max:.1e}",
                     f"{t.tolerance:.0e}", "yes" if t.passed else "NO"]
                    for name, t in tests.items()
                ],
            ))  # fmt: skip
        else:
            print_forecast(str(checkpoint), forecast)
        print_troubles(troubles)
    if not passed:
        raise SpectraError(
            f"the self-test failed on {chosen}: results on this machine cannot be trusted; install "
            "torch anew (pip install --force-reinstall torch), or try another --device"
        )


def _version(package: str) -> str | None:
    """Return the version of an installed package; None: it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _forecast(
    reference: str,
    source: str | None,
    profile: dict[str, Any],
    loading: "LoadOptions",
    asked: AskedAnalysis,
) -> "AnalysisForecast":
    """Return what ``spectra analyze`` would take for the same arguments."""
    from checkpoints import DataRequest, forecast_analysis, load_checkpoint
    from checkpoints.analysis.data_of import data_for, notes_of

    request = asked.request()
    loaded = load_checkpoint(reference, loading)
    wanted = DataRequest(source or "digits", **profile) if profile else None
    data, notes = data_for(loaded, source, request=wanted)
    for text in (*notes_of(loaded, data, request.normalisation), *notes):
        note(f"note: {text}")
    return forecast_analysis(loaded, data, request)
