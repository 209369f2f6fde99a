"""Spectra that are known, and densities of them from random probes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from oracles import build_net, dense_hessian, images_and_labels, refill, train
from torch import nn

from spectra import LambdaOperator, Spectrum, make_generator, slq

HEAVY = ("cauchy", "pareto", "powers")


@dataclass(frozen=True)
class Known:
    """Exact eigenvalues, rising, and a quadrature of them."""

    eigenvalues: np.ndarray
    spectrum: Spectrum

    def first(self, num_probes: int) -> Spectrum:
        return Spectrum(self.spectrum.probes[:num_probes], self.spectrum.size, "normal")


def density_of(eigenvalues, *names, **options) -> Spectrum:
    """Return a density of the diagonal matrix, from probes that ``names`` seed."""
    entries = torch.from_numpy(np.asarray(eigenvalues, dtype=np.float64))
    op = LambdaOperator(lambda v: entries * v, len(entries))
    options = {"num_probes": 2, "num_steps": 40, "probe": "normal", **options}
    return slq(op, generator=make_generator(0, "density", *names), **options)


def smoothed(eigenvalues, grid, sigma) -> np.ndarray:
    bells = np.exp(-0.5 * ((np.asarray(grid)[..., None] - eigenvalues) / sigma) ** 2)
    return bells.mean(-1) / (sigma * np.sqrt(2 * np.pi))


def heavy_tailed(kind: str) -> np.ndarray:
    """Return 1,500 eigenvalues, many of them apart from each other at several scales."""
    source = np.random.default_rng(1)
    if kind == "cauchy":
        return np.sort(source.standard_cauchy(1500))
    if kind == "pareto":
        return np.sort(np.concatenate([source.pareto(1.1, 750), -0.1 * source.pareto(1.1, 750)]))
    powers = 60 * np.arange(1, 121) ** -1.2
    return np.sort(np.concatenate([powers, source.normal(0, 0.05, 1370), -3 / np.arange(1, 11)]))


def eigenvalues_of_nets(seeds: int, *, wide: int = 14) -> Iterator[np.ndarray]:
    """Yield those of dense Hessians, three nets a seed, trained for 40 steps."""
    for seed in range(seeds):
        images, labels = images_and_labels(40, seed=seed)
        hidden = nn.Sequential(nn.Flatten(), nn.Linear(32, wide), nn.Tanh(), nn.Linear(wide, 3))
        for kind, model in (
            ("softmax", build_net("softmax")),
            ("smooth_mlp", build_net("smooth_mlp")),
            ("wide", hidden),
        ):
            model = train(refill(model, f"{kind} {seed}"), images, labels, steps=40, lr=0.3)
            matrix = dense_hessian(model.eval(), images, labels)
            yield torch.linalg.eigvalsh((matrix + matrix.T) / 2).numpy()
