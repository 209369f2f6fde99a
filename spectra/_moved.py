"""Old names of what has moved, for one version: the import works, and warns of the new name.

Take the file out with the next version, and its name out of the packages and rooms that call it.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# Modules. Not spectra.slq, where the function of that name is.
MOVED = {
    "spectra.files": "spectra.system.files.writing",
    "spectra.seeding": "spectra.system.seeding",
    "spectra.allocator": "spectra.system.allocator",
    "spectra.quiet": "spectra.system.quiet",
    "spectra.timing": "spectra.system.timing",
    "spectra.precision": "spectra.system.precision",
    "spectra.recording": "spectra.system.recording",
    "spectra.products.exact": "spectra.system.exact",
    "spectra.images": "spectra.objective.images",
    "spectra.losses": "spectra.objective.per_sample",
    "spectra.placement": "spectra.objective.placement",
    "spectra.short_memory": "spectra.objective.short_memory",
    "spectra.frozen_loss": "spectra.objective.frozen_loss",
    "spectra.counting": "spectra.objective.counting",
    "spectra.products.workers": "spectra.objective.workers",
    "spectra.products.trace": "spectra.products.reading.trace",
    "spectra.products.affine": "spectra.products.tangent.affine",
    "spectra.products.convolution": "spectra.products.tangent.convolution",
    "spectra.products.linear_maps": "spectra.products.layers.linear_maps",
    "spectra.products.pointwise": "spectra.products.layers.pointwise",
    "spectra.products.flat_order": "spectra.products.tangent.flat_order",
    "spectra.products.folding": "spectra.products.tangent.folding",
    "spectra.hessian": "spectra.operators.hessian",
    "spectra.per_class": "spectra.operators.class_hessian",
    "spectra.curvatures": "spectra.operators.curvatures",
    "spectra.checks": "spectra.operators.checks",
    "spectra.fresh": "spectra.operators.fresh",
    "spectra.lanczos": "spectra.krylov.lanczos",
    "spectra.lockstep": "spectra.krylov.probes",
    "spectra.tridiagonal": "spectra.krylov.tridiagonal",
    "spectra.restart": "spectra.krylov.thick_restart",
    "spectra.projection": "spectra.krylov.tridiagonal",
    "spectra.spectrum": "spectra.krylov.spectrum",
    "spectra.extremes": "spectra.krylov.extremes",
    "spectra.lower_bound": "spectra.krylov.outer_bounds",
    "spectra.judge": "spectra.krylov.rayleigh_quotients",
    "spectra.basis": "spectra.krylov.basis",
    "spectra.basis.choose": "spectra.krylov.basis.choose",
    "spectra.basis.device": "spectra.krylov.basis.device",
    "spectra.basis.half": "spectra.krylov.basis.half",
    "spectra.basis.host": "spectra.krylov.basis.host",
    "spectra.basis.interface": "spectra.krylov.basis.interface",
    "spectra.basis.none": "spectra.krylov.basis.none",
    "spectra.basis.recent": "spectra.krylov.basis.recent",
    "spectra.active_density": "spectra.active.density_by_active_images",
    "spectra.subspace": "spectra.active.jacobi_davidson",
    "spectra.certificates": "spectra.findings.certificates",
    "spectra.verdict": "spectra.findings.verdict",
    "spectra.bands": "spectra.krylov.quadrature.bands",
    "spectra.sharpness": "spectra.findings.sharpness",
    "spectra.loss_analysis": "spectra.findings.loss_analysis",
    "spectra.memory": "spectra.engines.memory",
    "spectra.analysis": "spectra.engines.analyze_loss",
    "checkpoints.batches": "checkpoints.training.batches",
    "checkpoints.captured": "checkpoints.training.captured",
    "checkpoints.constants": "checkpoints.recipes.constants",
    "checkpoints.evaluation": "checkpoints.training.evaluation",
    "checkpoints.execution": "checkpoints.training.execution",
    "checkpoints.formats.reference": "checkpoints.formats.run_names",
    "checkpoints.losses": "checkpoints.recipes.training_losses",
    "checkpoints.resume": "checkpoints.training.resume",
    "checkpoints.schedules": "checkpoints.recipes.schedules",
    "checkpoints.trainer": "checkpoints.training.trainer",
    "checkpoints.data.protocols": "checkpoints.data.views",
    "checkpoints.analysis.theorem": "checkpoints.analysis.directions.theorem",
    "figures.theorem": "figures.directions.theorem",
    "spectra.results.theorem_result": "spectra.results.directions.theorem_result",
    "cli.workflows.analyze": "checkpoints.analysis.analyze",
    "cli.workflows.losses": "checkpoints.analysis.class_losses",
    "cli.workflows.selection": "checkpoints.analysis.analyzed_loss",
    "cli.workflows.data": "checkpoints.analysis.data_of",
    "cli.workflows.warm": "checkpoints.analysis.warm",
    "cli.workflows.trajectory": "checkpoints.analysis.trajectory",
    "cli.workflows.protocols": "checkpoints.analysis.compare_protocols",
    "cli.workflows.theorem": "checkpoints.analysis.directions.theorem",
    "cli.workflows.threads": "checkpoints.training.threads",
    "cli.workflows.training": "checkpoints.training.request",
    "cli.workflows.pipeline": "checkpoints.studies.pipeline",
    "cli.workflows.study": "checkpoints.studies.study",
    "cli.workflows.summary": "cli.display.found.study_tables",
    "cli.workflows.reproduction": "checkpoints.studies.reproduction",
    "cli.workflows.reproduction.study": "checkpoints.studies.reproduction.description",
    "cli.workflows.reproduction.runs": "checkpoints.studies.reproduction.trainings",
    "cli.workflows.reproduction.run": "checkpoints.studies.reproduction.reproduce",
    "cli.workflows.reproduction.measure": "checkpoints.studies.reproduction.measure",
    "cli.workflows.reproduction.table": "checkpoints.studies.reproduction.table",
    "cli.workflows.cards": "spectra.system.cards",
    "cli.workflows.selftest": "spectra.engines.self_test",
    "cli.workflows.drawing": "figures.drawing",
    "cli.commands.bench": "cli.bench.command",
    "cli.workflows.bench": "cli.bench",
    "cli.workflows.bench.accounts": "cli.bench.comparison.job_costs",
    "cli.workflows.bench.convolutions": "cli.bench.convolution_rate",
    "cli.workflows.bench.density": "cli.bench.comparison.density_job",
    "cli.workflows.bench.jobs": "cli.bench.comparison.extremes_job",
    "cli.workflows.bench.peers": "cli.bench.comparison.peer_libraries",
    "cli.workflows.bench.products": "cli.bench.comparison.product_table",
    "cli.workflows.bench.reference": "cli.bench.comparison.converged_extremes",
    "cli.workflows.bench.subject": "cli.bench.workload",
    "cli.workflows.bench.protocol": "cli.bench.comparison.pyhessian_loops",
    "cli.workflows.bench.plan": "cli.bench.comparison.compare",
    "cli.workflows.bench.request": "cli.bench.comparison.request",
    "cli.workflows.bench.render": "cli.bench.comparison.tables",
    "cli.workflows.bench.machine": "cli.bench.machine",
    "cli.workflows.bench.gpu": "cli.bench.gpu",
    "cli.workflows.bench.gpu.images": "cli.bench.gpu_references.mosaics",
    "cli.workflows.bench.gpu.ledger": "cli.bench.gpu_ledger.ledger",
    "cli.workflows.bench.gpu.pack": "cli.bench.gpu_ledger.pack",
    "cli.workflows.bench.gpu.plan": "cli.bench.gpu.run_suite",
    "cli.workflows.bench.gpu.prepared": "cli.bench.gpu_references.prepared_folder",
    "cli.workflows.bench.gpu.references": "cli.bench.gpu_references.subjects",
    "cli.workflows.bench.gpu.request": "cli.bench.gpu_ledger.suite_request",
    "cli.workflows.bench.gpu.suite": "cli.bench.gpu_ledger.suite",
    "cli.workflows.bench.gpu.table": "cli.bench.gpu.summary_table",
    "cli.workflows.bench.gpu.toy": "cli.bench.gpu_references.toy",
    "cli.workflows.bench.gpu.arithmetic": "cli.bench.arithmetic",
    "cli.workflows.bench.gpu.training": "cli.bench.gpu_steps.training_order",
    "cli.workflows.bench.gpu.ways": "cli.bench.gpu_steps.ways",
    "cli.workflows.bench.gpu.steps": "cli.bench.gpu_steps",
    "cli.workflows.bench.gpu.steps.card": "cli.bench.gpu_steps.card",
    "cli.workflows.bench.gpu.steps.correctness": "cli.bench.gpu_steps.correctness",
    "cli.workflows.bench.gpu.steps.densities": "cli.bench.gpu_steps.densities",
    "cli.workflows.bench.gpu.steps.executions": "cli.bench.gpu_steps.executions",
    "cli.workflows.bench.gpu.steps.extremes": "cli.bench.gpu_steps.extremes",
    "cli.workflows.bench.gpu.steps.networks": "cli.bench.gpu_steps.networks",
    "cli.workflows.bench.gpu.steps.products": "cli.bench.gpu_steps.products",
    "cli.workflows.bench.gpu.steps.trainings": "cli.bench.gpu_steps.trainings",
    "cli.workflows.bench.gpu.steps.tunings": "cli.bench.gpu_steps.tunings",
    "figures.protocols": "figures.protocol_ratios",
    "figures.accuracy": "figures.studies.accuracy",
    "figures.contrast": "figures.studies.contrast",
    "figures.published": "figures.studies.published",
    "figures.recipes": "figures.studies.recipes",
    "figures.page": "figures.style.page",
    "figures.ticks": "figures.style.ticks",
    "figures.comparable": "figures.style.comparable",
    "figures.spectral_axes": "figures.style.spectral_axes",
}
# A folder that is gone: its modules are above.
GONE = "cli.workflows"
# Public names of modules and packages whose own name a room has now: where they are.
NOW_ROOMS = {
    "spectra.active": {
        "spectra.active.choose": ["ActiveImages", "choose_active"],
    },
    "spectra.engines": {
        "spectra.engines.own": ["run_spectra"],
        "spectra.engines.pyhessian": ["PyHessianOperator", "run_pyhessian"],
        "spectra.engines.result": ["EngineResult"],
        "spectra.engines.settings": ["SolverSettings"],
    },
    "spectra.operators": {
        "spectra.operators.interface": ["ScaledOperator", "SymmetricOperator"],
        "spectra.operators.matrices": ["DenseOperator", "LambdaOperator"],
    },
    "spectra.products.layers": {
        "spectra.products.layers.interface": ["Layer", "Saved"],
    },
    "spectra.products.tangent": {
        "spectra.products.tangent.products": ["TangentChunk", "TangentProducts"],
    },
    "spectra.results": {
        "spectra.results.analysis": ["Analysis", "load_analysis", "save_analysis"],
    },
    "checkpoints.recipes": {
        "checkpoints.recipes.families": ["RECIPE_NAMES", "get_recipe", "load_recipe"],
        "checkpoints.recipes.recipe": ["Recipe"],
    },
    "checkpoints.training": {
        "checkpoints.training.job": ["TrainingJob", "checkpoint_path"],
    },
    "figures.style": {
        "figures.style.colours": ["series_styles"],
        "figures.style.saving": ["save_figure"],
        "figures.style.sheet": ["house_style"],
    },
    "cli.display": {
        "cli.display.analyses": ["print_analysis"],
        "cli.display.lines": ["note", "print_json", "print_paths"],
        "cli.display.progress": ["Reporter", "reporting"],
        "cli.display.tables": ["print_table"],
        "cli.display.words": ["counted", "number", "plain_text", "with_residual"],
    },
    "cli.options": {
        "cli.options.values": ["Folder", "parse_memory", "pick_device", "writable"],
    },
}
# Public names of a package that are called otherwise now, or are another package's.
RENAMED: dict[str, dict[str, str]] = {
    "spectra": {
        "TailBounds": "spectra.OuterBounds",
        "bounds": "spectra.outer_bounds",
        "solve_extremes": "spectra.extremes_by_active_images",
    },
    "checkpoints": {},
    "figures": {"RecipeRow": "spectra.results.recipe_rows.RecipeRow"},
}


class _OldName(Loader):
    """Gives the module at its new place to whoever imports the old one."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return None: an empty module is put there first."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module at its new place into the empty one's."""
        old = module.__name__
        if old == GONE:
            return
        _warn(old, MOVED[old])
        sys.modules[old] = import_module(MOVED[old])


class _OldNames(MetaPathFinder):
    """Knows the old names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import ``fullname`` if it is an old name."""
        if fullname != GONE and fullname not in MOVED:
            return None
        return ModuleSpec(fullname, _OldName(), is_package=fullname == GONE)


def accept_old_modules() -> None:
    """Let old names of modules be imported; a second call does nothing."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        # Before the finder of files, which would find an old name's submodule in the new folder,
        # and load it a second time.
        sys.meta_path.insert(0, _OldNames())


def old_names(room: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a room that has the name of a module which is gone."""
    module_of = {name: module for module, names in NOW_ROOMS[room].items() for name in names}

    def find(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        _warn(f"{room}.{name}", f"{module_of[name]}.{name}")
        return getattr(import_module(module_of[name]), name)

    return find


def renamed(package: str, find: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return ``find``, the ``__getattr__`` of a package, with the names that it had before too."""

    def find_old(name: str) -> Any:
        if name not in RENAMED[package]:
            return find(name)
        new = RENAMED[package][name]
        _warn(f"{package}.{name}", new)
        module, _, new_name = new.rpartition(".")
        return getattr(import_module(module), new_name)

    return find_old


def _warn(old: str, new: str) -> None:
    message = f"{old} is {new} now; the old name goes with the next version"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
