"""``python -m cli.bench.large gpt2``: what a large network takes, against what is forecast."""

import click
import torch

from cli.bench.large.measured import Taken, measure_memory
from cli.bench.large.networks import NETWORKS, make_subject
from cli.display.lines import say
from cli.display.progress import reporting
from cli.options.values import parse_memory
from spectra.engines.settings import SolverSettings

_GIB = 2**30


@click.command()
@click.argument("network", type=click.Choice(list(NETWORKS)))
@click.option("--samples", default=4, show_default=True, help="Of the loss.")
@click.option("--length", default=8, show_default=True, help="Tokens of a sample, of a GPT-2.")
@click.option("--pixels", default=64, show_default=True, help="Of a side, of a ResNet.")
@click.option("--parameters", default=None, help="Names or globs of weights; all by default.")
@click.option("--memory", default="16GiB", show_default=True, help="That may be held.")
@click.option("--micro-chunk", default=None, type=int, help="Samples in a piece of work.")
@click.option("--num-probes", default=0, show_default=True, help="Of the density.")
@click.option("--num-steps", default=30, show_default=True, help="Of each probe.")
@click.option("--max-steps", default=60, show_default=True, help="Of the extremes.")
@click.option("--bending/--no-bending", default=True, help="Measure what bending does.")
@click.option("--basis", default="auto", show_default=True, help="Where vectors are kept.")
@click.option("--threads", default=2, show_default=True, help="Of torch.")
@click.option("--seed", default=0, show_default=True, help="Of weights, samples and probes.")
def large(
    network: str,
    samples: int,
    length: int,
    pixels: int,
    parameters: str | None,
    memory: str,
    micro_chunk: int | None,
    num_probes: int,
    num_steps: int,
    max_steps: int,
    bending: bool,
    basis: str,
    threads: int,
    seed: int,
) -> None:
    """Analyze NETWORK with random weights and samples, and say what that took of memory."""
    torch.set_num_threads(threads)
    subject = make_subject(network, samples=samples, length=length, pixels=pixels, seed=seed)
    settings = SolverSettings(
        num_probes=num_probes,
        num_steps=num_steps,
        max_steps=max_steps,
        basis=basis,
        bending=bending,
        seed=seed,
    )
    with reporting(network) as report:
        taken = measure_memory(
            subject,
            settings,
            memory=parse_memory(memory),
            parameters=parameters,
            micro_chunk=micro_chunk,
            on_progress=report.update,
        )
    say(*described(network, taken))


def described(name: str, taken: Taken) -> list[str]:
    """Return a line for each thing that was measured."""
    found = taken.found
    share = 100 * (taken.forecast / taken.taken - 1)
    return [
        f"{name}: P = {taken.parameters:,}, by {taken.products}, {taken.vectors} vectors by basis "
        f"{taken.basis}",
        f"memory: {taken.taken / _GIB:.2f} GiB taken ({taken.building / _GIB:.2f} by building, "
        f"{taken.analysis / _GIB:.2f} by the analysis), {taken.forecast / _GIB:.2f} GiB forecast: "
        f"{abs(share):.0f} % {'more' if share > 0 else 'less'}",
        f"time: {taken.build_seconds:.0f} s to build, {taken.seconds:.0f} s to analyze",
        f"λmin {found.lambda_min:.6g}, residual {found.residual_min:.2g}; λmax "
        f"{found.lambda_max:.6g}, residual {found.residual_max:.2g}; {found.steps} steps, "
        f"{'converged' if found.converged else 'not converged'}",
    ]


if __name__ == "__main__":
    large()
