"""Flags that several commands share.

What a bundle makes is imported when a command runs, so that help is there without torch.
"""

from typing import TYPE_CHECKING, Any

import click

from checkpoints import choices
from checkpoints.analysis.request import TheoremRequest
from cli.options.completion import source_names
from cli.options.flags import ANALYZED, COMPUTING, DATA, OUTPUT, WEIGHTS, Flag, bundle
from cli.options.values import Folder
from figures.style.sheet import SCREEN, SHEETS

if TYPE_CHECKING:
    from checkpoints import LoadOptions
    from checkpoints.training.execution import Execution

output = Flag(
    "-o", "--output", heading=OUTPUT, type=Folder(), help="Folder for results. [runs/NAME]"
)
# The command gets ``width``: of a sheet of figures/style/sheet.py.
figure_width = Flag(
    "--width",
    heading=OUTPUT,
    type=click.Choice(tuple(SHEETS)),
    default=SCREEN.name,
    show_default=True,
    help="Of figures: for a screen, or for one column (3.25 inches) or both (6.75) of a paper; "
    "then captions go into .txt files.",
)
as_json = Flag(
    "--json", "as_json", heading=OUTPUT, is_flag=True, help="Print JSON on standard output."
)
# The command gets ``style``: how results are printed.
style = bundle(
    "style",
    lambda style, as_json: "json" if as_json else style,
    Flag(
        "--format",
        "style",
        heading=OUTPUT,
        type=click.Choice(["table", "md", "csv", "json"]),
        default="table",
        show_default=True,
        help="Of standard output; md: a table for GitHub, csv: all columns. Files are the same.",
    ),
    Flag("--json", "as_json", heading=OUTPUT, is_flag=True, help="The same as --format json."),
)
log_to = Flag(
    "--log-to",
    "log_to",
    heading=OUTPUT,
    multiple=True,
    metavar="tensorboard:DIR|wandb:PROJECT",
    help="Write curves of every class by epoch, and densities as histograms, there too.",
)
share = Flag(
    "--share",
    heading=COMPUTING,
    type=click.Choice(choices.SHARED_OUT),
    default=choices.SHARED_OUT[0],
    show_default=True,
    help="What the processes of a torchrun share out: each takes one loss after the other, or all "
    "work on one loss together, each on its images.",
)
seed = Flag(
    "--seed",
    heading=COMPUTING,
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of every random number.",
)
device = Flag(
    "--device",
    heading=COMPUTING,
    default="auto",
    show_default=True,
    help="auto (a GPU where there is one), cpu, cuda (the current GPU) or cuda:N.",
)
source = Flag(
    "--data",
    "source",
    heading=DATA,
    shell_complete=source_names,
    help="digits, cifar10[:FOLDER], cifar100[:FOLDER], npz:TRAIN.npz[,TEST.npz], "
    "folder:PATH[,SIZE] (one folder of images a class), imagenet-lt:DIR[,SIZE], "
    "inaturalist18:DIR[,SIZE], list:TRAIN.txt,TEST.txt,ROOT[,SIZE] (a path and a label a line), or "
    "FILE.py:FUNCTION of your own; missing places are looked up in SPECTRA_DATA.",
)
normalisation = Flag(
    "--normalisation",
    heading=DATA,
    default=None,
    help="What the images went through in training: "
    f"{', '.join(choices.NORMALISATION_NAMES)}, none, data (the training images' own moments) or "
    "m1,m2,m3/s1,s2,s3. [as recorded, else the data's default]",
)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


# The command gets ``profile``: the fields of a DataRequest that were given, with their values.
profile = bundle(
    "profile",
    _given,
    Flag("--profile", heading=DATA, type=click.Choice(choices.PROFILES), help="Long-tail profile."),
    Flag("--imbalance-factor", heading=DATA, type=float, help="Smallest over largest class."),
    Flag("--n-max", heading=DATA, type=int, help="Images of the largest class."),
)


# The command gets ``batches``: the fields of a TheoremRequest of these names.
batches = bundle(
    "batches",
    lambda **values: values,
    Flag(
        "--num-batches",
        heading=ANALYZED,
        default=TheoremRequest.num_batches,
        show_default=True,
        help="Mini-batches of all images.",
    ),
    Flag(
        "--batch-size",
        heading=ANALYZED,
        default=TheoremRequest.batch_size,
        show_default=True,
        help="Images in each.",
    ),
)


def _loading(**values: Any) -> "LoadOptions":
    from checkpoints import LoadOptions

    return LoadOptions(**values)


# The command gets ``loading``, a LoadOptions.
loading = bundle(
    "loading",
    _loading,
    Flag(
        "--arch",
        heading=WEIGHTS,
        help=f"Architecture: {', '.join(choices.ARCHITECTURES)}; or net.py:Net, module:NAME, "
        "timm:NAME, hf:FOLDER.",
    ),
    Flag("--num-classes", heading=WEIGHTS, type=int, help="Outputs."),
    Flag("--head", heading=WEIGHTS, type=click.Choice(choices.HEADS), help="Its last layer."),
)


def _execution(precision: str, channels_last: bool, compiled: bool, captured: bool) -> "Execution":
    from checkpoints.training.execution import Execution

    return Execution(precision, channels_last, compiled, captured)


# The command gets ``execution``, an Execution.
execution = bundle(
    "execution",
    _execution,
    Flag(
        "--precision",
        heading=COMPUTING,
        type=click.Choice(choices.PRECISIONS),
        default="float32",
        show_default=True,
        help="Of training passes; tf32: GPUs alone. Weights and losses stay float32.",
    ),
    Flag(
        "--channels-last",
        heading=COMPUTING,
        is_flag=True,
        help="Train in that memory layout: faster, other rounding.",
    ),
    Flag(
        "--compile",
        "compiled",
        heading=COMPUTING,
        is_flag=True,
        help="Compile the network for training.",
    ),
    Flag(
        "--capture",
        "captured",
        heading=COMPUTING,
        is_flag=True,
        help="Record the training step as a CUDA graph; on a GPU alone.",
    ),
)
