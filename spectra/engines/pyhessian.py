"""PyHessian behind our interface: its products, and its own recurrence for the density.

PyHessian 0.1 calls ``torch.eig``, which torch no longer has, draws from the global generator and
leaves warnings behind. All three are dealt with here and nowhere else.
"""

import contextlib
import importlib
import types
from collections.abc import Iterable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from spectra.engines.result import EngineResult
from spectra.engines.settings import SolverSettings
from spectra.errors import InputError
from spectra.findings.certificates import OTHER_ENGINE
from spectra.krylov.extremes import Extremes, extremes_of_run
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.probes import draw_probe
from spectra.krylov.spectrum import Spectrum
from spectra.krylov.tridiagonal import Tridiagonal
from spectra.objective.samples.input_tree import InputTree, described
from spectra.operators.hessian import HessianOperator
from spectra.operators.interface import SymmetricOperator
from spectra.system.exact import exact_products
from spectra.system.progress import Progress
from spectra.system.quiet import quiet
from spectra.system.seeding import derive_seed, make_generator


class PyHessianOperator(SymmetricOperator):
    """The products of PyHessian's dataloader mode over the frozen images of ``op``.

    The criterion is the weighted loss of ``op``, scaled so that PyHessian's average over the images
    is the weighted mean.

    Args:
        op: whose Hessian.
        batches: of images and their positions in ``op``; None: its micro-chunks.

    Raises:
        InputError: PyHessian is not installed, the network takes several inputs, or ``op`` has
            weight decay.
    """

    def __init__(
        self, op: HessianOperator, batches: Iterable[tuple[Tensor, Tensor]] | None = None
    ) -> None:
        if isinstance(op.images, InputTree):
            raise InputError(
                f"PyHessian takes images as one tensor, got {described(op.images)}; take engine "
                "spectra"
            )
        if op.weight_decay:
            raise InputError("PyHessian knows no weight decay; take engine spectra")
        self.size, self.device, self.dtype = op.size, op.device, op.dtype
        self.label, self.parameter_slices = op.label, op.parameter_slices
        self._unflatten, self._check_point = op.unflatten, op.check_point
        scale = op.num_images / op.total_weight

        def criterion(outputs: Tensor, index: Tensor) -> Tensor:
            losses = op.sample_losses(outputs, op.labels[index])
            return scale * (op.weights[index] * losses).mean()

        if batches is None:
            index = torch.arange(op.num_images, device=op.device)
            batches = [(op.images[chunk], index[chunk]) for chunk in op.on_this_rank().chunks()]
        with on_its_card(self.device), quiet():
            self.peer = _module().hessian(
                op.model, criterion, dataloader=batches, cuda=op.device.type == "cuda"
            )

    def matvec(self, v: Tensor) -> Tensor:
        """Return H v for ``v`` of shape (P,)."""
        self.check_vector(v)
        self._check_point()
        with on_its_card(self.device), exact_products(self.device), quiet():
            _, products = self.peer.dataloader_hv_product(self._unflatten(v))
        return torch.cat([p.reshape(-1) for p in products]).detach()

    def density(self, *, num_probes: int, num_steps: int, seed: int) -> Spectrum:
        """Run PyHessian's own Lanczos and return its tridiagonal matrices.

        Args:
            num_probes: PyHessian's ``n_v``.
            num_steps: PyHessian's ``iter``; at most P.
            seed: of the global generator, which is put back afterwards.
        """
        found: list[Tridiagonal] = []

        def eig(matrix: Tensor, eigenvectors: bool = True) -> tuple[Tensor, Tensor]:
            t = matrix.double().cpu().numpy()
            found.append(
                Tridiagonal(np.diag(t).copy(), np.diag(t, 1).copy(), float("nan"), closed=False)
            )
            values, vectors = torch.linalg.eigh(matrix)
            return torch.stack([values, torch.zeros_like(values)], dim=1), vectors

        devices = [self.device] if self.device.type == "cuda" else []
        with (
            on_its_card(self.device),
            exact_products(self.device),
            torch.random.fork_rng(devices=devices),
            quiet(),
            _torch_with_eig(eig),
        ):
            torch.manual_seed(seed)
            self.peer.density(iter=min(num_steps, self.size), n_v=num_probes)
        return Spectrum(tuple(found), self.size, "rademacher")


def its_start(op: HessianOperator, seed: int) -> Tensor:
    """Return the signs that :meth:`PyHessianOperator.density` begins with, shape (P,).

    Args:
        op: whose parameters, which are drawn one after the other.
        seed: of the density.
    """
    devices = [op.device] if op.device.type == "cuda" else []
    parts = op.unflatten(torch.zeros(op.size, dtype=op.dtype, device=op.device))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        signs = [torch.randint_like(part, high=2) * 2 - 1 for part in parts]
    return torch.cat([part.reshape(-1) for part in signs])


def its_seed(seed: int, label: str) -> int:
    """Return the global seed that PyHessian's density of a loss is given."""
    return derive_seed(seed, "pyhessian density", label) % 2**32


def run_pyhessian(
    op: HessianOperator,
    *,
    label: str,
    settings: SolverSettings,
    warm: Extremes | None = None,
    on_progress: Progress | None = None,
) -> EngineResult:
    """Run PyHessian on the same frozen images.

    The density is PyHessian's own recurrence. It returns no vectors, so the extremes, with
    residuals, are ours over PyHessian's products. Its extreme Ritz values are the extreme nodes of
    the density: where they differ from the extremes, its recurrence has lost orthogonality (it
    orthogonalises once, in float32, and adds 1e-6 to every norm, which tells on small Hessians).
    ``warm`` is not used.
    """
    products = PyHessianOperator(op)
    generator = make_generator(settings.seed, "pyhessian", label)
    start = draw_probe(products.size, probe="normal", generator=generator)
    extremes = extremes_of_run(
        Lanczos(products, start),
        tolerance=settings.tolerance,
        max_steps=settings.max_steps,
        on_progress=on_progress,
    )
    spectrum = products.density(
        num_probes=settings.num_probes,
        num_steps=settings.num_steps,
        seed=its_seed(settings.seed, label),
    )
    return EngineResult(spectrum, extremes, cause=OTHER_ENGINE)


def on_its_card(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Have ``device`` be the current card within the block: PyHessian sends all it gets there."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def _module() -> types.ModuleType:
    # The package hides its submodule "hessian" behind a class of the same name.
    try:
        return importlib.import_module("pyhessian.hessian")
    except ImportError as error:
        raise InputError(
            "engine pyhessian needs the package pyhessian; install it with pip install pyhessian"
        ) from error


@contextlib.contextmanager
def _torch_with_eig(eig: Any) -> Iterator[None]:
    """Give PyHessian's module, and it alone, a torch that has ``eig``."""

    class TorchWithEig(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            return eig if name == "eig" else getattr(torch, name)

    with mock.patch.object(_module(), "torch", TorchWithEig("torch")):
        yield
