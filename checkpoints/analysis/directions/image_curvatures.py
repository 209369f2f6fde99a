"""Which images of a class carry its negative curvature, and which its λmax."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.named_classes import chosen_losses
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.analysis.vectors import load_vectors
from checkpoints.checkpoint import Checkpoint
from checkpoints.choices import OBJECTIVE
from checkpoints.data import ImageData
from checkpoints.data.views import FRESH, ImageProtocol
from checkpoints.training.threads import suitable_threads
from spectra import HessianOperator
from spectra.engines.memory import within_limit
from spectra.engines.result import EngineResult
from spectra.engines.settings import ENGINES, SolverSettings
from spectra.errors import InputError
from spectra.results.directions.image_curvatures import (
    ImageCurvature,
    ImageCurvatures,
    ImagesProtocol,
    ImagesResult,
)
from spectra.results.directions.theorem_result import MeasuredAt
from spectra.system.exact import exact_products
from spectra.system.progress import Progress, within

# Ours: what the images add may differ from the eigenvalue by this part of it; float32 keeps 1e-6
# on ResNets, and a hundredth changes no ranking that anybody would act on.
SUM_TOLERANCE = 0.01


def measure_images(
    checkpoint: Checkpoint,
    data: ImageData,
    request: AnalysisRequest,
    *,
    vectors: Path | None = None,
    on_progress: Progress | None = None,
) -> ImagesResult:
    """Find what each image adds to λmin and to λmax of the losses that ``request`` names.

    v_min and v_max are those that :func:`checkpoints.analyze` finds by the same request. An image
    adds w_i vᵀ∇²ℓ_i v / Σ w; what all images of a loss add is its eigenvalue.

    Cost: for each loss its extremes, and for each of its images 26 forward passes, see
    :func:`spectra.operators.curvatures.curvatures`.

    Args:
        checkpoint: weights.
        data: images.
        request: which losses, of which images; how their extremes are found.
        vectors: folder of an earlier ``spectra analyze --save-vectors``, whose vectors are taken
            in place of those; None: they are computed.
        on_progress: called with (``class 8`` say, steps done, steps planned).

    Raises:
        InputError: the request does not fit, the vectors are not eigenvectors of these losses, or
            float32 is too coarse for what the images add.
        NonFiniteError: a product held NaN or infinity.

    Example:
        >>> from checkpoints import AnalysisRequest, load_checkpoint, load_data, measure_images
        >>> from spectra import SolverSettings
        >>> request = AnalysisRequest(classes="8", solver=SolverSettings(num_probes=0))
        >>> found = measure_images(load_checkpoint("bundled:digits/ce-drw"), load_data(), request)
        >>> one = found.losses[0]
        >>> len(one.images), len(one.carrying("lowest", 0.8))
        (8, 1)
    """
    _check(request)
    losses = Losses.of(checkpoint, data, request)
    chosen = chosen_losses(request, checkpoint, data)
    found = []
    with suitable_threads(data):
        for k, (label, classes) in enumerate(chosen.items()):
            told = within(on_progress, f"class {label}", part=k + 1, of=len(chosen))
            op = losses.prepare(label, classes, check=k == 0).op
            if vectors is None:
                pair = _extremes(op, label, request, told)
            else:
                pair = _given(op, label, vectors)
            op.forget()
            if told:
                told("its images", 1, 1)
            positions = losses.choose(classes).index
            found.append(_of_images(op, label, pair, positions))
    return ImagesResult(
        MeasuredAt(checkpoint.name, checkpoint.epoch),
        ImagesProtocol(
            images=request.images,
            split=request.split,
            loss=request.loss,
            images_per_class=request.images_per_class,
            parameters=request.parameters,
            given_vectors=vectors is not None,
            seed=request.solver.seed,
        ),
        tuple(found),
    )


@dataclass(frozen=True)
class _Ends:
    """The vectors of λmin and λmax.

    Attributes:
        vectors: shape (2, P), float64, rows of length 1.
        values: λ = vᵀHv of each.
        residuals: ‖Hv − λv‖ of each.
    """

    vectors: Tensor
    values: tuple[float, float]
    residuals: tuple[float, float]


def _check(request: AnalysisRequest) -> None:
    if ImageProtocol.parse(request.images).kind == FRESH:
        raise InputError("images needs a fixed matrix; use --images plain or frozen:K")
    if request.loss == OBJECTIVE:
        raise InputError("weight decay is no image's; take --loss ce or train")
    if request.gauss_newton or request.solver.top or request.solver.per_layer:
        raise InputError(
            "images looks along v_min and v_max of the Hessian alone; leave out --gauss-newton, "
            "--top and --per-layer"
        )
    if request.reduction != "mean":
        raise InputError(
            "images gives shares of a class's own mean, which --reduction global does not change; "
            "leave it out"
        )


def _extremes(
    op: HessianOperator, label: str, request: AnalysisRequest, on_progress: Progress | None
) -> _Ends:
    """Find the ends as an analysis by the same request does."""
    matrix, solver = within_limit(op, request.solver, limit=request.memory)
    run: Callable[..., EngineResult] = pkgutil.resolve_name(ENGINES[solver.engine])
    ends = run(matrix, label=label, settings=solver, warm=None, on_progress=on_progress).extremes
    matrix.forget()
    low, high = ends.smallest, ends.largest
    return _Ends(
        torch.stack([low.vector, high.vector]).double(),
        (low.value, high.value),
        (low.residual_norm, high.residual_norm),
    )


def _given(op: HessianOperator, label: str, folder: Path) -> _Ends:
    """Read the ends from a folder, and check by a product with each that they are of this loss.

    Raises:
        InputError: a residual is larger than the eigenvalue: the vectors are of other weights,
            images or another loss.
    """
    vectors = load_vectors(folder, label, op.parameter_slices).to(op.device)
    exact = op.in_float64()
    products = exact.matmat(vectors)
    exact.forget()
    found = (vectors * products).sum(1)
    rests = (products - found[:, None] * vectors).norm(dim=1)
    values, residuals = _two(found), _two(rests)
    largest = max(abs(value) for value in values)
    for value, residual in zip(values, residuals, strict=True):
        # What counts as zero beside λmax has a residual of its own size.
        if residual > max(abs(value), SolverSettings.floor * largest):
            raise InputError(
                f"the vectors in {folder} are not eigenvectors of class {label} here: vᵀHv is "
                f"{value:.3g} and ‖Hv − λv‖ {residual:.3g}; give the checkpoint, the images and "
                "the loss that they were computed of, or leave out --vectors"
            )
    return _Ends(vectors, values, residuals)


def _two(values: Tensor) -> tuple[float, float]:
    low, high = values.tolist()
    return low, high


def _of_images(op: HessianOperator, label: str, ends: _Ends, positions: Tensor) -> ImageCurvatures:
    """Return what each image adds; views of one image lie beside each other and are averaged."""
    views = op.num_images // len(positions)

    def of_images(values: Tensor) -> Tensor:
        return values.reshape(*values.shape[:-1], len(positions), views).mean(-1)

    losses, predicted = _losses_and_predictions(op)
    low, high = of_images(op.curvatures(ends.vectors.to(op.dtype)).cpu())
    weights = of_images(op.weights.cpu().double()) * views / op.total_weight
    _check_sums((float(weights @ low), float(weights @ high)), ends.values, op)
    # Of views the first one speaks for the image's prediction.
    rows = zip(
        positions.tolist(),
        op.labels.cpu()[::views].tolist(),
        predicted[::views].tolist(),
        of_images(losses).tolist(),
        weights.tolist(),
        low.tolist(),
        high.tolist(),
        strict=True,
    )
    return ImageCurvatures(
        label=label,
        loss=op.loss(),
        lambda_min=float(weights @ low),
        lambda_max=float(weights @ high),
        residual_min=ends.residuals[0],
        residual_max=ends.residuals[1],
        images=tuple(ImageCurvature(*row) for row in rows),
    )


def _check_sums(
    sums: tuple[float, float], values: tuple[float, float], op: HessianOperator
) -> None:
    """Raise InputError where the images do not add up to the eigenvalues."""
    largest = max(abs(value) for value in values)
    for found, value in zip(sums, values, strict=True):
        if abs(found - value) > SUM_TOLERANCE * max(abs(value), SolverSettings.floor * largest):
            raise InputError(
                f"the images of class {op.label} add up to {found:.3g}, its eigenvalue is "
                f"{value:.3g}: {_name(op.dtype)} is too coarse for the terms that cancel"
                + ("" if op.dtype == torch.float64 else "; use --dtype float64")
            )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@torch.no_grad()
def _losses_and_predictions(op: HessianOperator) -> tuple[Tensor, Tensor]:
    """Return ℓ_i (n,), without weights, and the class of each image's largest output (n,)."""
    losses, predicted = [], []
    with exact_products(op.device):
        for chunk in op.chunks():
            outputs = op.model(op.images[chunk])
            losses.append(op.sample_losses(outputs, op.labels[chunk]).double().cpu())
            predicted.append(op.sample_losses.predicted(outputs).cpu())
    return torch.cat(losses), torch.cat(predicted)
