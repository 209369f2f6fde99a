"""Results of no network, as large and as strange as a test wants them."""

from dataclasses import replace

import numpy as np
from drawn_results import record_of

from spectra import Analysis, Bending, Certificate, SolverSettings, Spectrum
from spectra.krylov.tridiagonal import Tridiagonal
from spectra.results.provenance import AnalysisProtocol, CheckpointIdentity

SIZE = 19_130
PROTOCOL = AnalysisProtocol(
    images="plain", split="train", loss="ce", reduction="mean", dtype="float32", device="cpu",
    radius=0.1, tau=0.001, solver=SolverSettings(),
)  # fmt: skip


def spectrum(seed: int, *, probes: int = 2, steps: int = 80) -> Spectrum:
    """Return a density whose numbers have all their digits."""
    random = np.random.default_rng(seed)
    runs = [
        Tridiagonal(random.normal(0, 1, steps), random.uniform(0.5, 2, steps - 1), 0.3, False)
        for _ in range(probes)
    ]
    return Spectrum(tuple(runs), SIZE, "normal")


def certificates(low: float, high: float) -> tuple[Certificate, Certificate]:
    why = "cold start, 32 steps over all images, float32 products: estimated"
    return (
        Certificate("smallest", low, 9.7e-12, 1.9e-5, True, low * 1.01, 0.95, why),
        Certificate("largest", high, 2e-11, 5.6e-6, True, high * 1.01, 0.95, why),
    )


def record(label: str, seed: int = 0, *, density: bool = True, **fields):
    random = np.random.default_rng(seed)
    low, high = -float(random.uniform(0.01, 1)), float(random.uniform(2, 20))
    bending = Bending(
        radius=0.1, loss=0.1, secants=((0.01, 1.1), (0.1, 0.93)), predicted_with=0.7,
        predicted_without=0.6, lowered_with=0.64, lowered_without=0.6, share=0.0625,
    )  # fmt: skip
    made = record_of(spectrum(seed) if density else None, label, low=low, high=high)
    return replace(made, certificates=certificates(low, high), bending=bending, **fields)


def analysis(
    recipe: str, epoch: int = 200, labels: str = "0 8 tail", *, seed: int = 0, density: bool = True,
    **protocol: object,
) -> Analysis:  # fmt: skip
    """Return what ``spectra analyze`` would say of a checkpoint."""
    checkpoint = CheckpointIdentity(
        name=f"digits/{recipe}",
        epoch=epoch,
        recipe=recipe,
        recipe_fields={"name": recipe, "weighting": "drw", "epochs": 200},
        seed=seed,
        class_counts=(124, 88, 63, 45, 32, 23, 16, 12, 8, 6),
        digest=f"{epoch:064x}",
        data={"source": "digits", "digest": "7" * 64},
    )
    groups = {"tail": (8, 9), "head": (0, 1)}
    records = [
        record(label, k + epoch, density=density, classes=groups.get(label) or (int(label),))
        for k, label in enumerate(labels.split())
    ]
    return Analysis(checkpoint, replace(PROTOCOL, **protocol), tuple(records), {"torch": "2"})
