"""``torchrun --nproc-per-node 2 -m cli.bench.scaling``: what sharing images out is worth."""

import click

from cli.bench.scaling.measured import measure_scaling
from cli.display.lines import say
from spectra.system.ranks import joined


@click.command()
@click.option("--images", default=256, show_default=True, help="Of the loss.")
@click.option("--arch", default="resnet20", show_default=True, help="The network.")
@click.option("--rounds", default=5, show_default=True, help="Products of each kind, in turn.")
@click.option("--seed", default=0, show_default=True, help="Of weights, images and vector.")
def scaling(images: int, arch: str, rounds: int, seed: int) -> None:
    """Measure products by one process and by all that torchrun has started, in turn."""
    with joined() as world:
        found = measure_scaling(world, images=images, architecture=arch, rounds=rounds, seed=seed)
        if world.first:
            say(
                f"{arch}, {found.images} images, P = {found.parameters}, {found.size} processes: "
                f"one process {found.alone:.3f} s a product, on 1/{found.size} of the images "
                f"{found.alone_on_a_share:.3f} s; all {found.together:.3f} s, of which a sum takes "
                f"{found.sums:.4f} s: strong scaling {found.strong:.2f} x, weak {found.weak:.2f}"
            )


if __name__ == "__main__":
    scaling()
