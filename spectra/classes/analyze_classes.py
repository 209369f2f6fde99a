"""The spectra of single classes of a model that a caller has in hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from spectra.classes.caller import caller_left_alone, computing_device, room_for_images
from spectra.classes.chosen_images import ChosenImages, choose_of_data
from spectra.classes.each_loss import PreparedLoss, analyze_each
from spectra.classes.identity import library_versions, loss_name, weights_digest
from spectra.classes.labels import Classes, check_label_of_data
from spectra.classes.many.those_with_numbers import ThoseWithNumbers
from spectra.engines.memory import check_room_to_build
from spectra.engines.settings import SolverSettings
from spectra.errors import InputError
from spectra.findings.verdict import RADIUS, TAU
from spectra.krylov.defaults import MAX_STEPS, NUM_PROBES, NUM_STEPS
from spectra.objective.parameter_slices import as_patterns, trained_and_held
from spectra.objective.per_sample import PerSampleLoss
from spectra.objective.plain_model import plain_model
from spectra.objective.samples.forward import Forward
from spectra.operators.hessian import HessianOperator
from spectra.operators.many_losses.same_network import over_samples
from spectra.results.analysis import Analysis
from spectra.results.provenance import (
    GAUSS_NEWTON,
    HESSIAN,
    AnalysisProtocol,
    CheckpointIdentity,
)
from spectra.system.progress import Progress


def analyze_classes(
    model: nn.Module,
    data: Any,
    classes: Classes = "all",
    *,
    forward: Forward | None = None,
    loss: PerSampleLoss | None = None,
    num_probes: int = NUM_PROBES,
    num_steps: int = NUM_STEPS,
    tol: float | None = None,
    max_steps: int = MAX_STEPS,
    certify_below: bool = False,
    top: int = 0,
    per_layer: bool = False,
    bending: bool = True,
    stationary: bool = False,
    weight_decay: float = 0.0,
    images_per_class: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    parameters: str | Sequence[str] | None = None,
    gauss_newton: bool = False,
    micro_chunk: int | None = None,
    seed: int = 0,
    memory: int | None = None,
    radius: float = RADIUS,
    tau: float = TAU,
    name: str | None = None,
    on_progress: Progress | None = None,
) -> Analysis:
    """Find density, extreme eigenvalues and verdict of the loss of each class.

    The same numbers as ``spectra analyze`` gives for the same images, weights and choices. The
    model is copied: its mode, gradients, buffers, dtype and device stay, and so does the random
    state of the process.

    Cost: see :func:`spectra.analyze_loss`, for each loss: some 200 Hessian-vector products over its
    images, of 6 to 9 forward passes each. Images are held in memory: as many bytes as those of the
    chosen classes take (twice as many for a moment where a data set does not say its labels), and
    what a network and one class's images take beside them on ``device``.

    Args:
        model: maps images (n, ...) to outputs (n, C), or to something that holds them, see
            :class:`spectra.HessianOperator`.
        data: a pair of images, normalised, (N, ...) and labels (N,), as tensors or arrays; a
            ``Dataset`` of (image, label); or a ``DataLoader`` of (images, labels), which is read
            once, in the order of its data set, whatever it shuffles. Of an augmenting data set one
            draw of each image is taken, which is said. In place of images, token ids or a
            dictionary or tuple of several inputs; in place of pairs, dictionaries of inputs and
            ``labels``, as Hugging Face gives them. Sequences are padded to one length.
        classes: ``all``: every class by itself; ``overall``: all of them together; a label; several
            of these; or groups by name, such as ``{"tail": [7, 8, 9]}``. Of ``all``, classes
            without images are left out, which is said.
        forward: makes what the model returns of ``model`` and images, where ``model(images)`` does
            not; such as ``lambda model, batch: model(batch["pixels"])["scores"]``.
        loss: per-sample loss of outputs and labels, such as
            ``torch.nn.CrossEntropyLoss(weight=weights, reduction="none")``; cross-entropy where
            None.
        num_probes: random probes of the density (PyHessian: ``n_v``); 0: the extremes alone.
        num_steps: Lanczos steps for each (PyHessian: ``iter``; SciPy: ``ncv``).
        tol: relative residual asked of the extremes; None: .01 beside a density, else .03.
        max_steps: limit on the steps of the run that the extremes come from.
        certify_below: go on until λmin is bounded from below too.
        top: eigenvalues wanted at each end, copies counted; see :func:`spectra.counted_eigenpairs`.
        per_layer: look at every layer's block too, see :func:`spectra.layer_spectra`.
        bending: measure what negative curvature does, see :func:`spectra.measure_bending`.
        stationary: search for a stationary point, see :func:`spectra.find_stationary_point`.
        weight_decay: c of ½ c ‖w‖², which is part of what training minimises, and so of the loss
            of classes ``overall`` alone.
        images_per_class: limit on the images of a class, drawn at random; None: every image.
        dtype: of the products.
        device: where to compute; None: where the model is, or a card that the images are on.
        parameters: a name or glob of parameters or modules, or several, such as ``layer3.*``: the
            Hessian by these alone; None: by all that have ``requires_grad``.
        gauss_newton: the Gauss-Newton matrix in place of the Hessian, without ratios and verdicts.
        micro_chunk: images in one piece of work; None: by image size.
        seed: of probes, the draw of images, and augmentations.
        memory: bytes that the process may hold in all, of a card's where it computes on one; None:
            half of what is free, of a card 85 %.
        radius: r of the verdicts, parameter units.
        tau: relative tolerance of the verdicts.
        name: of the model, for tables and figures; its class where None.
        on_progress: called with ("images", read, planned) and (``class 8``, steps done, planned).

    Returns:
        One record for each loss; shown as a table by a prompt, in HTML by a notebook.

    Raises:
        InputError: an argument is not as above, or does not fit into the memory.
        NonFiniteError: a product held NaN or infinity; the message names class, probe and step.
            Its ``found``, an :class:`Analysis`, has all others.
        OperatorError: the loss is no function of the weights alone, or not a mean over images.

    >>> import torch, spectra
    >>> rng = torch.Generator().manual_seed(0)
    >>> images, labels = torch.randn(30, 4, generator=rng), torch.arange(30) % 3
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3))
    >>> found = spectra.analyze_classes(model, (images, labels), [0, "overall"], num_steps=5)
    >>> [(record.label, record.n) for record in found.records]
    [('0', 10), ('overall', 30)]
    >>> found.record("0").lambda_min > -1e-6  # a linear model's loss is convex
    True
    """
    model = plain_model(model)
    if weight_decay and classes not in ("overall", ["overall"], ("overall",)):
        raise InputError(f"weight decay is part of the loss of classes 'overall', got {classes!r}")
    settings = SolverSettings(
        num_probes=num_probes,
        num_steps=num_steps,
        tol=tol,
        max_steps=max_steps,
        certify_below=certify_below,
        top=top,
        per_layer=per_layer,
        bending=bending,
        stationary=stationary or None,
        seed=seed,
    )
    images = choose_of_data(
        data,
        classes,
        per_class=images_per_class,
        seed=seed,
        room=room_for_images(computing_device(model, device), memory),
        on_progress=on_progress,
    )
    return analyze_chosen(
        model,
        images,
        settings=settings,
        forward=forward,
        loss=loss,
        dtype=dtype,
        device=device,
        parameters=parameters,
        gauss_newton=gauss_newton,
        weight_decay=weight_decay,
        micro_chunk=micro_chunk,
        memory=memory,
        radius=radius,
        tau=tau,
        name=name,
        on_progress=on_progress,
    )


def analyze_chosen(
    model: nn.Module,
    chosen: ChosenImages,
    *,
    settings: SolverSettings,
    forward: Forward | None = None,
    loss: PerSampleLoss | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    parameters: str | Sequence[str] | None = None,
    gauss_newton: bool = False,
    weight_decay: float = 0.0,
    micro_chunk: int | None = None,
    memory: int | None = None,
    radius: float = RADIUS,
    tau: float = TAU,
    name: str | None = None,
    epoch: int | None = None,
    check: bool = True,
    on_progress: Progress | None = None,
) -> Analysis:
    """Analyze losses whose images have been read; see :func:`analyze_classes`.

    Args:
        model: as it is, without a wrapper.
        chosen: the images of each loss.
        settings: of the solver.
        forward: see :func:`analyze_classes`.
        loss: per-sample loss; None: cross-entropy.
        dtype: of the products.
        device: where to compute; None: where the model is.
        parameters: see :func:`analyze_classes`.
        gauss_newton: the Gauss-Newton matrix in place of the Hessian.
        weight_decay: see :func:`analyze_classes`.
        micro_chunk: images in one piece of work; None: by image size.
        memory: bytes that the process may hold in all; None: see :func:`analyze_classes`.
        radius: r of the verdicts, parameter units.
        tau: relative tolerance of the verdicts.
        name: of the model; None: its class.
        epoch: epochs of training done.
        check: probe the network with the first loss.
        on_progress: called with (``class 8`` say, steps done, steps planned).
    """

    def prepare(
        label: str, classes: tuple[int, ...], *, check: bool, like: HessianOperator | None = None
    ) -> PreparedLoss:
        images, labels, weights = chosen.of_loss(label)
        if like is not None:
            op = over_samples(like, images, labels, weights=weights, label=label)
            return PreparedLoss(op, gauss_newton=gauss_newton)
        op = HessianOperator(
            model,
            images,
            labels,
            forward=forward,
            loss=loss,
            weights=weights,
            dtype=dtype,
            device=where,
            parameters=parameters,
            micro_chunk=micro_chunk,
            memory_budget=0,
            check=check and first_check,
            label=label,
            weight_decay=weight_decay,
        )
        if check and loss is None:
            check_label_of_data(op, len(chosen.class_counts) - 1)
        return PreparedLoss(op, gauss_newton=gauss_newton)

    first_check = check
    where = computing_device(model, device, chosen.images)
    if check:
        check_room_to_build(trained_and_held(model, parameters), memory, where)
    with caller_left_alone():
        results = ThoseWithNumbers(
            analyze_each(
                chosen.losses,
                prepare,
                settings=settings,
                memory=memory,
                radius=radius,
                tau=tau,
                on_progress=on_progress,
            )
        )
        # Without their vectors, which are not to stay.
        records = {record.label: replace(record, extremes=None) for record in results}
    found = Analysis(
        checkpoint=CheckpointIdentity(
            name=str(name or type(model).__name__),
            epoch=epoch,
            architecture={"name": type(model).__name__},
            class_counts=chosen.class_counts,
            digest=weights_digest(model.state_dict()),
            data=chosen.description(),
        ),
        protocol=AnalysisProtocol(
            images="plain",
            loss=loss_name(loss),
            weight_decay=weight_decay or None,
            reduction="mean",
            images_per_class=chosen.per_class,
            dtype=str(dtype).removeprefix("torch."),
            device=where.type,
            parameters=() if parameters is None else as_patterns(parameters),
            matrix=GAUSS_NEWTON if gauss_newton else HESSIAN,
            micro_chunk=micro_chunk,
            radius=radius,
            tau=tau,
            solver=settings,
        ),
        records=tuple(records[label] for label in chosen.losses if label in records),
        versions=library_versions(),
    )
    return results.all_or_raise(found)
