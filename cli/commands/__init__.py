"""One file for each command."""

from cli.bench.command import bench
from cli.commands.analyze import analyze
from cli.commands.checkpoints import checkpoints
from cli.commands.data import data
from cli.commands.doctor import doctor
from cli.commands.pipeline import pipeline
from cli.commands.plot import plot
from cli.commands.recipes import recipes
from cli.commands.reproduce import reproduce
from cli.commands.theorem import theorem
from cli.commands.train import train
from cli.commands.trajectory import trajectory

COMMANDS = (
    train,
    analyze,
    trajectory,
    theorem,
    reproduce,
    plot,
    pipeline,
    checkpoints,
    data,
    recipes,
    bench,
    doctor,
)
