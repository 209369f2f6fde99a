"""``spectra doctor``: is this installation sound?"""

import importlib.metadata

from cli.display.lines import print_json, say
from cli.display.tables import Table, print_table
from cli.options import shared
from cli.options.flags import command
from cli.options.values import pick_device
from spectra.errors import SpectraError

# Beside those that every result names.
_PACKAGES = (
    "pyhessian", "matplotlib", "scikit-learn", "safetensors", "msgspec", "filelock", "click",
    "rich",
)  # fmt: skip


@command(
    short_help="Is this installation sound?",
    examples="""
    # is this installation sound?
    spectra doctor
    # on the graphics card, for a script
    spectra doctor --device cuda --json
    """,
)
@shared.device
@shared.as_json
def doctor(device: str, as_json: bool) -> None:
    """Print versions and devices, check bundled files, and compare with a dense Hessian."""
    import torch

    from checkpoints.bundled_files import verify_bundled
    from spectra.classes.identity import library_versions
    from spectra.engines.self_test import dense_self_test
    from spectra.system.cards import cards

    chosen = pick_device(device)
    versions = library_versions()
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "missing"
    tests = {
        name: dense_self_test(chosen, dtype=dtype)
        for name, dtype in (("float64", torch.float64), ("float32", torch.float32))
    }
    bundled = verify_bundled()
    passed = all(test.passed for test in tests.values())
    if as_json:
        print_json(
            {
                "versions": versions,
                "device": chosen,
                "cards": [vars(card) for card in cards()],
                "bundled_files": bundled,
                "self_test": {name: vars(test) for name, test in tests.items()},
                "passed": passed,
            }
        )
    else:
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
    if not passed:
        raise SpectraError("the self-test failed: results on this machine cannot be trusted")
