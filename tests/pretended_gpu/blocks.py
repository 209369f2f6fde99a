"""Small losses that share a pass on the card, beside the same losses one after the other."""

from __future__ import annotations

from functools import partial
from unittest import mock

import torch
import torch.nn.functional as F

import spectra
from checkpoints.analysis.analyze import analyze
from checkpoints.analysis.request import AnalysisRequest
from pretended_gpu.stage import Facts, Stage, difference, digits, random_images, relative, resnet
from spectra import HessianOperator, SolverSettings
from spectra.classes.many import small_losses
from spectra.findings.loss_analysis import LossAnalysis
from spectra.products.block.shared_pass import LossChunk, LossProducts, SharedPass
from spectra.products.block.ways import block_products, ways_of
from spectra.system.recording import CudaRecorder

LOSSES, IMAGES = 16, 5


def blocks(stage: Stage) -> Facts:
    """Count a shared pass of 16 losses of 5 images, as it is made and replayed, and a product."""
    images, labels = random_images(LOSSES * IMAGES)
    images = images[..., ::4, ::4].contiguous()
    model = resnet(8).to(stage.second).eval()
    products = block_products(model, partial(F.cross_entropy, reduction="none"))
    there, ones = images.to(stage.second), torch.ones(len(images), device=stage.second)
    batches = [
        (there[part], labels.to(stage.second)[part], ones[part])
        for part in (slice(k * IMAGES, (k + 1) * IMAGES) for k in range(LOSSES))
    ]
    asked = LossProducts(products, lambda chunk, vector: vector)
    chunks = [LossChunk(asked, batch) for batch in batches]
    host = [
        HessianOperator(
            *(resnet(8), images[k * IMAGES :][:IMAGES], labels[k * IMAGES :][:IMAGES]), check=False
        )
        for k in range(2)
    ]
    vectors = torch.randn(LOSSES, host[0].size, generator=spectra.make_generator(0, "vectors"))
    rows = {k: (chunks[k], vectors[k].to(stage.second)) for k in range(LOSSES)}
    ways = ways_of(products, there[:1], batches[0][1][:1])
    found: Facts = {}
    for name, recorder in (
        ("made", None),
        ("replayed", CudaRecorder(torch.device(stage.second), share_memory=True)),
    ):
        shared = SharedPass(products, ways, count=LOSSES, images=8, recorder=recorder)
        for _ in range(2):
            shared.products_of(rows)
        with stage.counted() as count:
            made = shared.products_of(rows)
        wanted = [op.matvec(v) * IMAGES for op, v in zip(host, vectors, strict=False)]
        found[name] = {
            **count.facts(),
            "differs by": max(difference(made[k], wanted[k]) for k in range(2)),
            "refused": shared.refused,
        }
    alone = products.linearise(*batches[0])
    with stage.counted() as count:
        alone.product(products.direction(rows[0][1]))
    found["alone"] = count.facts()
    return found


def analyses_in_blocks(stage: Stage) -> Facts:
    """Analyze four classes of digits on the second card, in one pass and one after the other."""
    checkpoint, data = digits()
    settings = SolverSettings(num_probes=0, max_steps=12, bending=False)
    found: Facts = {}
    records: list[tuple[LossAnalysis, ...]] = []
    for name, tuning in (("block", "losses:4"), ("in turn", "losses:1")):
        request = AnalysisRequest(
            classes="6,7,8,9", device=stage.second, tuning=tuning, solver=settings
        )
        with mock.patch.object(small_losses, "MANY", 2), stage.counted() as count:
            records.append(analyze(checkpoint, data, request).records)
        found[name] = {**count.facts(), "products": [r.products for r in records[-1]]}
    found["differs by"] = max(
        max(relative(a.lambda_max, b.lambda_max), relative(a.loss, b.loss))
        for a, b in zip(*records, strict=True)
    )
    return found
