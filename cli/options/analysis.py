"""The flags of an analysis, made from the fields of its request: each field is named once, here."""

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import click

from checkpoints import choices
from checkpoints.analysis.request import AnalysisRequest
from cli.options import shared
from cli.options.completion import class_words
from cli.options.flags import ANALYZED, CERTIFICATES, COMPUTING, SOLVER, Flag, bundle
from cli.options.values import parse_memory, pick_device
from spectra.engines.settings import ENGINES, SolverSettings
from spectra.errors import InputError
from spectra.krylov.defaults import AUTO, NUM_PROBES, NUM_STEPS, PROBES, PUBLISHED_STEPS, STORAGES


@dataclass(frozen=True)
class Shown:
    """How a field is shown as a flag; its name, type and default are the field's.

    Attributes:
        heading: in the help.
        help: what it means, and in brackets what stands in where its default is None.
        choices: the words that it takes; empty: any.
        read: makes the field's value of its text; None: by the field's type.
        by_command: whether each command has a default of its own, so that the flag has none.
        also: another name of the flag.
    """

    heading: str
    help: str = ""
    choices: Sequence[str] = ()
    read: Callable[[str], Any] | None = None
    by_command: bool = False
    also: str = ""


# In the order of the help. ``seed`` and ``device`` are flags that other commands have too.
SHOWN: Mapping[str, Shown | Flag] = {
    "classes": Shown(
        ANALYZED,
        "all, overall, head, mid, tail (or many, medium, few), labels such as 0,9 or 0-3; joined "
        "by commas. tail:20 draws 20 classes of the tail at random, sample:20 of each group.",
        by_command=True,
        also="--class",
    ),
    "groups": Shown(
        ANALYZED, "Head/mid/tail, such as 0-2/3-6/7-9; or many/medium/few. [by class size]"
    ),
    "split": Shown(ANALYZED, choices=choices.SPLITS),
    "normalisation": shared.normalisation,
    "loss": Shown(
        ANALYZED,
        "ce: cross-entropy of scaled logits; train: as trained; reference: unscaled; objective: "
        "all that training minimised, as one loss: all classes, their weights, weight decay.",
        choices.ANALYZED_LOSSES,
    ),
    "weight_decay": Shown(ANALYZED, "Of --loss objective, as in torch's SGD. [the recipe's]"),
    "reduction": Shown(
        ANALYZED,
        "mean over the images of the loss, or its global share of the whole.",
        choices.REDUCTIONS,
    ),
    "images": Shown(
        ANALYZED,
        "plain; frozen:K fixed augmentations of each image; frozen:all, every crop and flip; "
        "fresh: a new draw at every product, as published, which is no fixed matrix.",
    ),
    "images_per_class": Shown(ANALYZED, "Random subset of each class. [all]"),
    "parameters": Shown(
        ANALYZED,
        "Names or globs of parameters or modules, such as 'layer3.*': the Hessian by these alone. "
        "Give it several times for several. [all]",
    ),
    "gauss_newton": Shown(
        ANALYZED,
        "The Gauss-Newton matrix in place of the Hessian: what the bending of the network adds is "
        "left out, and so are ratio and verdict.",
    ),
    "top": Shown(ANALYZED, "Eigenpairs from either end, copies counted. 0: λmin and λmax alone."),
    "per_layer": Shown(
        ANALYZED,
        "λmin, λmax and trace of every layer's block too: 20 products a layer, or more.",
    ),
    "bending": Shown(
        ANALYZED,
        "What negative curvature does for each loss within the radius: some 9 products more.",
    ),
    "stationary": Shown(
        ANALYZED,
        "Search for a stationary point near by: 100 to 600 products a loss. [of --loss objective]",
        by_command=True,
    ),
    "search_radius": Shown(ANALYZED, "How far that search looks. [5 r]"),
    "search_products": Shown(ANALYZED, "Products after which it begins no round. [600]"),
    "radius": Shown(ANALYZED, "r of verdict and bending. [the recipe's ρ, else 0.1]"),
    "tau": Shown(ANALYZED, "Tolerance of the verdict."),
    "engine": Shown(SOLVER, choices=tuple(ENGINES)),
    "num_probes": Shown(
        SOLVER,
        "Probes of the density; 0: extremes alone, on active images. Alias: n_v.  "
        f"[{NUM_PROBES}; trajectory: 0]",
        by_command=True,
    ),
    "num_steps": Shown(
        SOLVER,
        "Lanczos steps of each probe. Alias: iter, ncv.  "
        f"[{NUM_STEPS}; fresh and /pyhessian of --compare-protocols, and recurrences: "
        f"{PUBLISHED_STEPS}, as published]",
        by_command=True,
    ),
    "probe": Shown(SOLVER, choices=PROBES),
    "density_images": Shown(
        SOLVER,
        "auto: density from the images of most curvature, where a stated bound allows it.",
        ("all", "auto"),
    ),
    "tol": Shown(
        SOLVER,
        "Relative residual of the extremes. [0.01; without a density 0.03 over all images]",
    ),
    "max_steps": Shown(SOLVER, "Limit for the extremes."),
    "proof": Shown(
        CERTIFICATES,
        "Judge the extremes in a float64 pass over all images. [yes; trajectory: no]",
        by_command=True,
    ),
    "certify_below": Shown(
        CERTIFICATES,
        "Run until λmin is bounded from below, with 95 % probability: all images, a cold "
        "start, often 2 to 5 times the steps.",
    ),
    "seed": shared.seed,
    "device": shared.device,
    "dtype": Shown(COMPUTING, choices=choices.DTYPES),
    "basis": Shown(
        COMPUTING,
        "Where Lanczos keeps its vectors; sharded: a piece of each on every process of a torchrun, "
        "with --share images; none: a second pass instead; auto: as memory allows.",
        (*STORAGES, AUTO),
    ),
    "micro_chunk": Shown(COMPUTING, "Images in one piece of work. [by image size]"),
    "memory": Shown(
        COMPUTING,
        "What the process may hold in all, such as 4GiB. It decides how much work is kept "
        "between products, not the results. [half of what is free; of a GPU's memory 85 %]",
        read=parse_memory,
    ),
    "tuning": Shown(
        COMPUTING,
        "How products are computed: measured (whatever is fastest here), or contiguous, "
        "benchmark, no-graphs, stacked:K and losses:B joined by commas. For GPUs; see docs/gpu.md.",
    ),
    "deterministic": Shown(COMPUTING, "Refuse a tuning that may give other bytes each time."),
}
# Fields that no flag sets, and why.
WITHOUT_FLAG = {
    "solver": "its fields have flags of their own",
    "floor": "what counts as zero goes with the verdicts' tolerance and float32, not with a run",
    "max_basis": "follows from --memory",
}


@dataclass(frozen=True)
class AskedAnalysis:
    """What the flags of an analysis ask for, before a command adds its own defaults.

    Attributes:
        values: of the fields; None: not given.
    """

    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Return what was given for a field, or None."""
        return self.values[name]

    def request(self, **defaults: Any) -> AnalysisRequest:
        """Return the request.

        Args:
            defaults: the command's own, for fields that were not given.

        Raises:
            InputError: a value is out of range, or there is no such device.
        """
        given = {name: value for name, value in self.values.items() if value is not None}
        if self["loss"] == choices.OBJECTIVE:  # one loss, whatever classes a command takes else
            defaults = defaults | {"classes": "overall"}
        given = defaults | given | {"device": pick_device(self.values["device"])}
        solver = {f.name: given.pop(f.name) for f in fields(SolverSettings) if f.name in given}
        return AnalysisRequest(**given, solver=SolverSettings(**solver))


def _flag(name: str, shown: Shown | Flag) -> Flag:
    """Return the flag of a field: --num-probes of ``num_probes``."""
    if isinstance(shown, Flag):
        return shown
    owner = next(c for c in (AnalysisRequest, SolverSettings) if name in c.__dataclass_fields__)
    default = None if shown.by_command else owner.__dataclass_fields__[name].default
    declaration = f"--{name.replace('_', '-')}"
    several = default == ()
    settings: dict[str, Any] = {"default": default, "show_default": default is not None}
    kind = _plain_type(typing.get_type_hints(owner)[name])
    if (kind is bool and shown.by_command) or (kind is bool and default):
        declaration += f"/--no-{name.replace('_', '-')}"
    elif kind is bool:
        settings = {"is_flag": True}
    elif shown.read is not None:
        settings["callback"] = _reading(shown.read)
    else:
        settings["type"] = click.Choice(shown.choices) if shown.choices else kind
    if several:  # one value each time that the flag is given
        settings |= {"multiple": True, "show_default": False}
    if name == "classes":
        settings["shell_complete"] = class_words
    names = [declaration, shown.also, name] if shown.also else [declaration]
    return Flag(*names, heading=shown.heading, help=shown.help or None, **settings)


def _reading(read: Callable[[str], Any]) -> Callable[..., Any]:
    return lambda ctx, param, text: None if text is None else read(text)


def _plain_type(hint: Any) -> type:
    """Return ``int`` of ``int | None``, ``str`` of ``tuple[str, ...]``."""
    return next(t for t in (*typing.get_args(hint), hint) if t is not type(None))


# The command gets ``asked``, an AskedAnalysis.
analysis_flags = bundle(
    "asked",
    lambda **values: AskedAnalysis(values),
    *(_flag(name, shown) for name, shown in SHOWN.items()),
)


# What commands along v_min and v_max do not ask: further eigenpairs, and what lies around.
NOT_ALONG_DIRECTIONS = (
    "weight_decay", "top", "per_layer", "bending", "stationary", "search_radius", "search_products",
)  # fmt: skip
_LOSSES_OF_CLASSES = tuple(loss for loss in choices.ANALYZED_LOSSES if loss != choices.OBJECTIVE)


def _asked_of_classes(**values: Any) -> AskedAnalysis:
    if values["loss"] == choices.OBJECTIVE:
        raise InputError(
            "this is asked of the losses of classes, not of the training objective, whose weight "
            f"decay is no image's; take --loss {' or '.join(_LOSSES_OF_CLASSES[:2])}"
        )
    return AskedAnalysis(values)


# The same for commands about the directions of extreme curvature of a class.
direction_flags = bundle(
    "asked",
    _asked_of_classes,
    *(
        Flag(
            "--loss",
            heading=ANALYZED,
            default=AnalysisRequest.loss,
            show_default=True,
            type=click.Choice(choices.ANALYZED_LOSSES),
            metavar=f"[{'|'.join(_LOSSES_OF_CLASSES)}]",
            help="ce: cross-entropy of scaled logits; train: as trained; reference: unscaled.",
        )
        if name == "loss"
        else _flag(name, shown)
        for name, shown in SHOWN.items()
        if name not in NOT_ALONG_DIRECTIONS
    ),
)

# The same for the published recurrence, which knows neither extremes nor certificates.
_OF_A_RECURRENCE = (
    "classes", "groups", "split", "normalisation", "loss", "images", "images_per_class",
    "engine", "num_steps", "device", "dtype", "micro_chunk", "memory",
)  # fmt: skip
recurrence_flags = bundle(
    "asked",
    _asked_of_classes,
    *(_flag(name, shown) for name, shown in SHOWN.items() if name in _OF_A_RECURRENCE),
)
