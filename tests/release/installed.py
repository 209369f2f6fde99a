"""What an installed copy holds: run in isolated mode by ``make release-check``, imported by tests.

It is given the repository's folder, which must not be where anything is imported from.
"""

import importlib
import pkgutil
import sys
from pathlib import Path

MODULES = ("checkpoints", "cli", "figures", "spectra")
PUBLISHED = (
    "cifar10-lt-table", "cifar100-lt-table", "densities", "imagenet-lt-table",
    "inaturalist18-table", "optimizers", "protocols", "rho-ablation", "theorem", "trajectories",
)  # fmt: skip
PACKAGE_DATA = (
    *(f"{package}/py.typed" for package in MODULES),
    *(f"checkpoints/studies/{study}.toml" for study in ("demo", "digits")),
    *(f"checkpoints/studies/published/{name}.toml" for name in PUBLISHED),
    "checkpoints/bundled/MANIFEST.json",
    "figures/report/page/page.html",
)
# They import what is not installed with the package.
OPTIONAL = ("spectra.classes.huggingface", "spectra.classes.lightning")


def main(repository: Path) -> None:
    """Import everything and look for every data file."""
    count = 0
    for package in MODULES:
        found = importlib.import_module(package)
        place = Path(str(found.__file__)).resolve()
        assert not place.is_relative_to(repository), f"{package} comes from {place}"
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if module.name not in OPTIONAL and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
                count += 1
    missing = [name for name in PACKAGE_DATA if not (place.parents[1] / name).is_file()]
    assert not missing, missing
    sys.stdout.write(f"{count} modules, {len(PACKAGE_DATA)} data files\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
