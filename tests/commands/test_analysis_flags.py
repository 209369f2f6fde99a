"""Every field of a request has a flag with its default, and every flag reaches its field."""

from dataclasses import fields

import click
import pytest
from command_line import invoke, refused

from checkpoints.analysis.request import AnalysisRequest
from cli.bench.command import bench
from cli.commands.analyze import analyze
from cli.commands.directions.images import images
from cli.commands.directions.sam import sam
from cli.commands.directions.theorem import theorem
from cli.commands.trajectory import trajectory
from cli.options.analysis import NOT_ALONG_DIRECTIONS, SHOWN, WITHOUT_FLAG, analysis_flags
from cli.options.values import parse_memory
from spectra import InputError, SolverSettings
from spectra.objective.short_memory import MEMORY_BUDGET

FIELDS = {f.name: f for owner in (AnalysisRequest, SolverSettings) for f in fields(owner)}
COMMANDS = {"analyze": analyze, "trajectory": trajectory}
DIRECTIONS = {"images": images, "sam": sam, "theorem": theorem}
# Those whose flag has another default: each command has its own, or the machine decides.
OTHER_DEFAULT = {
    "classes": None,
    "num_probes": None,
    "num_steps": None,
    "proof": None,
    "device": "auto",
}
# A value of each flag that is not its default.
GIVEN = {
    "classes": ("--classes", "0,8", "0,8"),
    "groups": ("--groups", "0-2/3-6/7-9", "0-2/3-6/7-9"),
    "split": ("--split", "test", "test"),
    "normalisation": ("--normalisation", "none", "none"),
    "loss": ("--loss", "train", "train"),
    "weight_decay": ("--weight-decay", "0.25", 0.25),
    "reduction": ("--reduction", "global", "global"),
    "images": ("--images", "frozen:4", "frozen:4"),
    "images_per_class": ("--images-per-class", "7", 7),
    "parameters": ("--parameters", "layer3.*", ("layer3.*",)),
    "gauss_newton": ("--gauss-newton", None, True),
    "top": ("--top", "3", 3),
    "per_layer": ("--per-layer", None, True),
    "bending": ("--no-bending", None, False),
    "stationary": ("--stationary", None, True),
    "search_radius": ("--search-radius", "0.25", 0.25),
    "search_products": ("--search-products", "50", 50),
    "radius": ("--radius", "0.5", 0.5),
    "tau": ("--tau", "0.01", 0.01),
    "engine": ("--engine", "pyhessian", "pyhessian"),
    "num_probes": ("--num-probes", "3", 3),
    "num_steps": ("--num-steps", "9", 9),
    "probe": ("--probe", "rademacher", "rademacher"),
    "density_images": ("--density-images", "auto", "auto"),
    "tol": ("--tol", "0.2", 0.2),
    "max_steps": ("--max-steps", "11", 11),
    "proof": ("--no-proof", None, False),
    "certify_below": ("--certify-below", None, True),
    "seed": ("--seed", "5", 5),
    "device": ("--device", "cpu", "cpu"),
    "dtype": ("--dtype", "float64", "float64"),
    "basis": ("--basis", "host", "host"),
    "micro_chunk": ("--micro-chunk", "13", 13),
    "memory": ("--memory", "4GiB", 4 * 2**30),
    "tuning": ("--tuning", "contiguous", "contiguous"),
    "deterministic": ("--deterministic", None, True),
}
# What a flag does not go without, as fields of the request.
NEEDED = {
    "weight_decay": {"loss": "objective", "classes": "overall"},
    "search_radius": {"stationary": True},
    "search_products": {"stationary": True},
}


def asked_by(*arguments: str):
    """Return what the flags ask for."""
    found = []

    @click.command()
    @analysis_flags
    def command(asked):
        found.append(asked)

    command.main(list(arguments), standalone_mode=False)
    return found[0]


def values(request: AnalysisRequest) -> dict[str, object]:
    return vars(request) | vars(request.solver)


def test_every_field_of_a_request_has_a_flag_or_a_reason_for_none():
    assert set(SHOWN) | set(WITHOUT_FLAG) == set(FIELDS)
    assert set(SHOWN).isdisjoint(WITHOUT_FLAG)
    assert set(GIVEN) == set(SHOWN)


@pytest.mark.parametrize("command", DIRECTIONS.values(), ids=DIRECTIONS)
def test_commands_along_directions_offer_what_they_use(command):
    offered = {parameter.name for parameter in command.params}
    assert offered.isdisjoint(NOT_ALONG_DIRECTIONS)
    assert set(SHOWN) - set(NOT_ALONG_DIRECTIONS) <= offered
    for name in set(SHOWN) - set(NOT_ALONG_DIRECTIONS):
        option = next(p for p in command.params if p.name == name)
        default = option.get_default(click.Context(command))
        assert default == OTHER_DEFAULT.get(name, FIELDS[name].default)


@pytest.mark.parametrize("command", DIRECTIONS)
def test_no_direction_is_asked_of_the_training_objective(command):
    said = refused(command, "bundled:digits/ce-drw", "--loss", "objective", "--class", "8")
    assert "not of the training objective" in said
    assert "objective" not in invoke(command, "--help").output


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "flags", [("--search-radius", "1"), ("--search-products", "9", "--no-stationary")]
)
def test_a_search_that_is_not_made_has_no_radius(command, flags):
    said = refused(command, "bundled:digits/ce-drw", *flags)
    assert "leave them out, or give --stationary" in said


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", SHOWN)
def test_a_flag_has_the_default_of_its_field(command, name):
    option = next(p for p in COMMANDS[command].params if p.name == name)
    default = option.get_default(click.Context(COMMANDS[command]))
    assert default == OTHER_DEFAULT.get(name, FIELDS[name].default)


def test_flags_that_are_not_given_make_the_default_request():
    assert asked_by("--device", "cpu").request() == AnalysisRequest()


@pytest.mark.parametrize("name", SHOWN)
def test_a_flag_reaches_its_field_and_no_other(name):
    flag, text, value = GIVEN[name]
    given = [flag] if text is None else [flag, text]
    device = [] if name == "device" else ["--device", "cpu"]
    needed = NEEDED.get(name, {})
    # "loss": "objective" is --loss objective, a field that is True its flag alone.
    beside = [t for f, said in needed.items() for t in (f"--{f}", said) if t is not True]
    request = asked_by(*given, *device, *beside).request()
    solver = SolverSettings(**{k: v for k, v in needed.items() if hasattr(SolverSettings, k)})
    own = {k: v for k, v in needed.items() if not hasattr(SolverSettings, k)}
    assert values(request) | {"solver": None} == values(AnalysisRequest(**own, solver=solver)) | {
        name: value,
        "solver": None,
    }


@pytest.mark.parametrize("default", ["all", "0,8"])
def test_the_training_objective_is_of_all_classes_whatever_a_command_takes_else(default):
    request = asked_by("--loss", "objective", "--device", "cpu").request(classes=default)
    assert request.classes == "overall"
    with pytest.raises(InputError, match="leave out --classes 8"):
        asked_by("--loss", "objective", "--classes", "8", "--device", "cpu").request()


def test_a_default_of_the_command_gives_way_to_a_flag():
    defaults = {"classes": "tail", "num_probes": 0, "proof": False, "device": "cpu"}
    assert values(asked_by().request(**defaults))["classes"] == "tail"
    given = asked_by("--classes", "9", "--num-probes", "1", "--proof").request(**defaults)
    assert (given.classes, given.solver.num_probes, given.solver.proof) == ("9", 1, True)


@pytest.mark.parametrize(
    ("text", "size"), [("4GiB", 2**32), ("500MB", 5 * 10**8), ("123", 123), (" 1 kib", 1024)]
)
def test_memory_is_read_with_its_unit(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["lots", "-1", "nan", "1e30GiB", ""])
def test_memory_that_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="memory must read like 4GiB or 500MB, got"):
        parse_memory(text)


def test_the_bench_has_the_budget_of_an_operator():
    default = next(p for p in bench.params if p.name == "memory").default
    assert parse_memory(default) == MEMORY_BUDGET


def test_a_study_that_is_not_there_is_refused_with_those_that_are():
    line = refused("reproduce", "cifar10-table")
    assert line.startswith("Error: Invalid value for 'NAME': 'cifar10-table' is not one of")
    assert "'cifar10-lt-table'" in line
