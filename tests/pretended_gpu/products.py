"""Products, gradients and Lanczos steps: what they launch, and that they are those of the CPU."""

from __future__ import annotations

import torch

import spectra
from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.training.execution import EXACT
from pretended_gpu.stage import Facts, Stage, difference, digits, random_images, resnet
from spectra import HessianOperator
from spectra.krylov.lanczos import Lanczos
from spectra.operators.fresh import FreshOperator
from spectra.products import Tuning, parse_tuning

STEPS = 10


def launches(stage: Stage) -> Facts:
    """Count what ResNet-32 does on the card without graphs, on one chunk of two images."""
    images, labels = random_images(2)
    model = resnet(32)
    op = spectra.HessianOperator(
        model, images, labels, device=stage.device, check=False, tuning=Tuning(graphs=False)
    )
    host = spectra.HessianOperator(model, images, labels, check=False, products=op.choice.name)
    vector = torch.randn(op.size, generator=spectra.make_generator(0, "vector"))
    there = vector.to(stage.device)
    found: Facts = {"products": op.choice.name}
    with stage.counted() as count:
        op.matvec(there)
    found["first product"] = count.facts()
    with stage.counted(places=True) as count:
        product = op.matvec(there)
    found["kept product"] = count.facts()
    found["product differs by"] = difference(product, host.matvec(vector))
    several = torch.stack([there, 2 * there, 3 * there, 4 * there])
    with stage.counted() as count:
        op.matmat(several)
    found["product of four vectors"] = count.facts()
    op.loss()  # a network's first pass is also looked at for what it keeps
    with stage.counted() as count:
        gradient = op.gradient()
    found["gradient"] = count.facts()
    found["gradient differs by"] = difference(gradient, host.gradient())
    with stage.counted() as count:
        op.scores()
    found["scores"] = count.facts()
    run = Lanczos(op, vector)
    run.step()
    with stage.counted() as count:
        for _ in range(STEPS):
            run.step()
    found["Lanczos steps"] = count.facts()
    return found


def operator(stage: Stage) -> Facts:
    """Count what building an operator takes, all its checks included."""
    images, labels = random_images(20)
    found: Facts = {}
    with stage.counted() as count:
        op = spectra.HessianOperator(resnet(8), images, labels, device=stage.device)
    found["build"] = count.facts()
    with stage.counted() as count:
        op.over_images(torch.arange(5))
    found["restriction"] = count.facts()
    return found


def several_chunks(stage: Stage) -> Facts:
    """Count a product of three chunks, kept and made again, and compare it with the CPU's."""
    images, labels = random_images(10)
    model = resnet(8)
    vector = torch.randn(sum(p.numel() for p in model.parameters()))
    found: Facts = {}
    for name, budget in (("kept", 2**40), ("not kept", 0)):
        op, host = (
            spectra.HessianOperator(
                *(model, images, labels),
                device=device,
                micro_chunk=4,
                memory_budget=budget,
                check=False,
            )
            for device in (stage.second, "cpu")
        )
        there = vector.to(op.device)
        for _ in range(2):  # the second one is recorded, where work is kept
            op.matvec(there)
        with stage.counted() as count:
            product = op.matvec(there)
        found[name] = {
            **count.facts(),
            "differs by": difference(product, host.matvec(vector)),
            "launches on the other card": count.cards[0] if stage.card else 0,
        }
    return found


def protocols(stage: Stage) -> Facts:
    """Count products over views that are cut when asked for, and over fresh draws."""
    found: Facts = {}
    for kind in ("frozen:2", "fresh"):
        counts = []
        for device in (stage.second, "cpu"):
            losses = Losses.of(*digits(), AnalysisRequest(images=kind, device=device))
            loss = losses.prepare("6", (6,), check=False)
            op = loss.op
            products = op if loss.draw is None else FreshOperator(op, loss.draw)
            vector = torch.ones(op.size).to(device)
            products.matvec(vector)
            with stage.counted() as count:
                product = products.matvec(vector)
            counts.append((count, product))
        (count, product), (_, wanted) = counts
        found[kind] = {**count.facts(), "differs by": difference(product, wanted)}
    return found


def graphs(stage: Stage) -> Facts:
    """Record products as graphs and replay them, as by default, beside products made without."""
    images, labels = random_images(6)
    plain, recorded, double = (
        HessianOperator(*(resnet(8), images, labels), device=stage.second, check=False, **options)
        for options in (
            {"tuning": parse_tuning("no-graphs")},
            {},
            {"products": "double-backward"},
        )
    )
    found = []
    for factor in (1.0, 2.0, 3.0):  # warm-up, recording, replay
        vector = torch.linspace(-factor, 1, plain.size, device=stage.second)
        with stage.counted() as count:
            product = recorded.matvec(vector)
        expected = plain.matvec(vector)
        found.append(
            {
                **count.facts(),
                "differs by": difference(product, expected),
                "same bytes": bool(torch.equal(product, expected)),
            }
        )
    replayed = count.kernels["graph"]
    with stage.counted() as count:
        for op in (plain, double):
            for _ in range(3):
                op.matvec(vector)
    return {
        "replayed": replayed,
        "products": found,
        "replayed of others": count.kernels["graph"],
        "recorded as": recorded.choice.label,
    }


def tf32(stage: Stage) -> Facts:
    """Make a product and train a step where a user has set TF32 by torch's newer interface."""
    images, labels = random_images(4)
    op = HessianOperator(resnet(8), images, labels, device=stage.device, check=False)
    vector = torch.ones(op.size, device=stage.device)
    wanted = op.matvec(vector)
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "tf32"
    try:
        product = op.matvec(vector)
        with EXACT.settings(torch.device(stage.device)):
            within = [backend.fp32_precision for backend in backends]
        after = [backend.fp32_precision for backend in backends]
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
    return {"differs by": difference(product, wanted), "in a step": within, "after": after}


def places(stage: Stage) -> Facts:
    """Build class Hessians of networks and images that are, or are not, on the same device."""
    images, labels = random_images(20)
    model = resnet(8)
    wanted = spectra.class_hessian(model, images, labels, 3)
    vector = torch.randn(wanted.size)
    product = wanted.matvec(vector)
    second = torch.device(stage.second)
    found: Facts = {}
    for name, of_model, of_images, device in (
        ("both on the card", second, second, None),
        ("network on the card", second, "cpu", None),
        ("images on the card", "cpu", second, None),
        ("card asked for", "cpu", "cpu", second),
        ("processor asked for", second, second, "cpu"),
    ):
        theirs = resnet(8).to(of_model)
        op = spectra.class_hessian(theirs, images.to(of_images), labels, 3, device=device)
        found[name] = {
            "device": str(op.device),
            "product on": str(op.matvec(vector.to(op.device)).device),
            "differs by": difference(op.matvec(vector.to(op.device)), product),
            "network stays on": str(next(theirs.parameters()).device),
        }
    return {"card": str(second), "cases": found}
