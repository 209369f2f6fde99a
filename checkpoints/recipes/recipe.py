"""A recipe: everything that decides how a network is trained, apart from data and seed."""

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from spectra.errors import InputError
from spectra.results.provenance import DRW_START, PlainValue, drw_switch
from spectra.system.files.limits import check_limit

LOSSES = ("ce", "ldam", "vs", "la", "focal")
WEIGHTINGS = ("none", "drw", "reweight", "resample")
LR_SCHEDULES = ("step", "cosine")
BN_CHOICES = ("both", "first")
# Optimizers of which parts of a batch may climb each on its own.
SHARDED = ("sam", "asam")


@dataclass(frozen=True)
class Optimizer:
    """How a recipe's steps are made.

    Attributes:
        rule: where it is written, ``file:class`` in ``checkpoints/training/steps``.
        climbs: each step begins with an ascent step of radius ρ.
    """

    rule: str
    climbs: bool = False


OPTIMIZERS = {
    "sgd": Optimizer("sgd:SGD"),
    "sam": Optimizer("sam:SAM", climbs=True),
    "asam": Optimizer("sam:ASAM", climbs=True),
    "imbsam": Optimizer("imbsam:ImbSAM", climbs=True),
    "cc-sam": Optimizer("cc_sam:CCSAM", climbs=True),
    "focal-sam": Optimizer("focal_sam:FocalSAM", climbs=True),
    "pgd": Optimizer("pgd:PerturbedGradient"),
    "lpf-sgd": Optimizer("lpf_sgd:LowPassSGD"),
}


@dataclass(frozen=True)
class Recipe:
    """One way of training; every field but the name can be overridden.

    Attributes:
        name: what the recipe is called.
        loss: ``ce``, ``ldam``, ``vs``, ``la`` (logit adjustment, VS with γ 0) or ``focal``.
        weighting: ``none``; ``drw``: class-balanced weights from the DRW switch on; ``reweight``:
            the same weights from the start; ``resample``: class-balanced sampling.
        optimizer: ``sgd``, ``sam``, ``asam``, ``imbsam``, ``cc-sam``, ``focal-sam``, ``pgd`` or
            ``lpf-sgd``; :data:`OPTIMIZERS`.
        rho: radius of the ascent step, in parameter units (relative units for ``asam``).
        rho_schedule: (epoch fraction, ρ) pairs that replace ``rho`` from that fraction of the
            training on; empty for a constant ρ.
        sam_bn: which of SAM's passes update batch-norm statistics: ``both`` (the published code)
            or ``first``.
        sam_shards: parts of a batch that climb each on its own, for ``sam`` and ``asam``; 1: the
            whole batch climbs. More is the papers' m-SAM, with m = ``batch_size`` over that many.
        asam_eta: added to |w| in ASAM's normalisation (the paper's .01).
        epochs: E.
        batch_size: images a step.
        lr: peak learning rate.
        momentum: of SGD.
        weight_decay: as in torch's SGD (adds c·w to the gradient); not in SAM's ascent gradient.
        lr_schedule: ``step`` or ``cosine``.
        augment_crop: pixels of zero padding before a random crop; 0 for none.
        augment_flip: random horizontal flips.
        cb_beta: β of the class-balanced weights.
        drw_start: fraction of the epochs before ``drw`` sets in: .8, which is 160 of 200, of CIFAR.
        ldam_max_margin: margin of the smallest class.
        logit_scale: s, which multiplies the outputs of a cosine head inside the loss.
        vs_gamma: exponent of the multiplicative adjustment of the VS loss.
        vs_tau: factor of its additive adjustment, and of that of ``la``.
        focal_gamma: exponent of the focal loss.
        tail_below: η of ImbSAM: classes of fewer images count as tail; 0: those of the last third.
        cc_power: CC-SAM's ρ_c = ρ (n_max / n_c)^power (power ours).
        focal_sam_factor: λ of Focal-SAM (ours: 1).
        focal_sam_gamma: γ of Focal-SAM (ours: 1).
        pgd_radius: r of PGD, parameter units (ours).
        pgd_threshold: g_thres of PGD (ours).
        pgd_interval: t_thres of PGD, steps (ours).
        lpf_gamma: γ of LPF-SGD.
        lpf_draws: M of LPF-SGD.
    """

    name: str
    loss: str = "ce"
    weighting: str = "none"
    optimizer: str = "sgd"
    rho: float = 0.0
    rho_schedule: tuple[tuple[float, float], ...] = ()
    sam_bn: str = "both"
    sam_shards: int = 1
    asam_eta: float = 0.01
    epochs: int = 200
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 2e-4
    lr_schedule: str = "step"
    augment_crop: int = 4
    augment_flip: bool = True
    cb_beta: float = 0.9999
    drw_start: float = DRW_START
    ldam_max_margin: float = 0.5
    logit_scale: float = 30.0
    vs_gamma: float = 0.2
    vs_tau: float = 1.2
    focal_gamma: float = 2.0
    tail_below: int = 0
    cc_power: float = 0.25
    focal_sam_factor: float = 1.0
    focal_sam_gamma: float = 1.0
    pgd_radius: float = 0.01
    pgd_threshold: float = 0.5
    pgd_interval: int = 50
    lpf_gamma: float = 0.002
    lpf_draws: int = 1

    def __post_init__(self) -> None:
        check_limit("name", len(self.name), "name of a recipe")
        for name, choices in (
            ("loss", LOSSES),
            ("weighting", WEIGHTINGS),
            ("optimizer", OPTIMIZERS),
            ("lr_schedule", LR_SCHEDULES),
            ("sam_bn", BN_CHOICES),
        ):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )
        for name in ("epochs", "batch_size", "lpf_draws", "sam_shards"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in (
            "rho", "momentum", "weight_decay", "augment_crop", "asam_eta", "focal_gamma",
            "tail_below", "cc_power", "focal_sam_factor", "focal_sam_gamma", "pgd_radius",
            "pgd_threshold", "pgd_interval", "lpf_gamma",
        ):  # fmt: skip
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)}")
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{f.name} must be finite, got {value}")
        if self.momentum >= 1:
            raise InputError(f"momentum must lie in [0, 1), got {self.momentum}")
        if not self.lr > 0:
            raise InputError(f"lr must be positive, got {self.lr}")
        if self.uses_ascent and self.rho <= 0 and not self.rho_schedule:
            raise InputError(f"{self.optimizer} needs rho > 0, got {self.rho}; set --rho")
        if self.sam_shards > 1 and self.optimizer not in SHARDED:
            raise InputError(
                f"sam_shards is for the optimizers {', '.join(SHARDED)}, got {self.optimizer}"
            )
        if not 0 <= self.cb_beta < 1:
            raise InputError(f"cb_beta must lie in [0, 1), got {self.cb_beta}")
        if not 0 <= self.drw_start <= 1:
            raise InputError(f"drw_start must lie in [0, 1], got {self.drw_start}")
        starts = [fraction for fraction, _ in self.rho_schedule]
        if starts != sorted(starts) or any(
            not (0 <= f < 1 and 0 < r < math.inf) for f, r in self.rho_schedule
        ):
            raise InputError(
                "rho_schedule must list (epoch fraction in [0, 1), rho > 0) pairs in rising order, "
                f"got {self.rho_schedule}"
            )

    @property
    def head(self) -> str:
        """``cosine`` for LDAM, which is defined on cosines; ``linear`` otherwise."""
        return "cosine" if self.loss == "ldam" else "linear"

    @property
    def uses_ascent(self) -> bool:
        """Whether each step starts with an ascent step of radius ρ."""
        return OPTIMIZERS[self.optimizer].climbs

    @property
    def drw_switch(self) -> int:
        """The 0-based epoch at which ``drw`` sets in, 1 at the least."""
        return drw_switch(self.epochs, self.drw_start)

    def to_dict(self) -> dict[str, PlainValue]:
        """Return the plain form that checkpoints store.

        ``drw_start`` and ``sam_shards`` are left out at their defaults, so that runs of before
        there was a choice keep their identity, and their files every byte.
        """
        plain = asdict(self)
        plain["rho_schedule"] = [list(pair) for pair in self.rho_schedule]
        if self.drw_start == DRW_START:
            del plain["drw_start"]
        if self.sam_shards == 1:
            del plain["sam_shards"]
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Recipe":
        """Rebuild what :meth:`to_dict` wrote."""
        return cls(name=str(plain["name"])).with_overrides(
            {key: value for key, value in plain.items() if key != "name"}
        )

    def with_overrides(self, overrides: Mapping[str, Any]) -> "Recipe":
        """Return the recipe with some fields replaced; text is converted to the field's type.

        A ``rho`` alone replaces a schedule that leaves no epoch to it: it is then that of all.

        Raises:
            InputError: a field is unknown or a value has the wrong type.
        """
        values = field_values(overrides)
        if "rho" in values and any(start == 0 for start, _ in self.rho_schedule):
            values.setdefault("rho_schedule", ())
        return replace(self, **values)


def field_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a recipe's fields by name; text is converted to the field's type.

    Raises:
        InputError: a field is unknown or a value has the wrong type.
    """
    kinds = recipe_fields()
    for key in given:
        if key not in kinds:
            known = ", ".join(sorted(kinds))
            raise InputError(f"unknown recipe field {key!r}; expected one of {known}")
    return {key: _convert(key, value, kinds[key]) for key, value in given.items()}


# Ours: what 32 bits hold, which no number of epochs, images or pixels comes near.
_LARGEST = 2**31 - 1
_KINDS = {int: "an integer", float: "a number", bool: "true or false", str: "text"}


def _convert(key: str, value: Any, kind: Any) -> Any:
    if key == "rho_schedule":
        return _rho_schedule(value)
    wrong = InputError(f"{key} must be {_KINDS.get(kind, kind)}, got {_shown(value)}")
    if kind is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise wrong
    if isinstance(value, bool) or (kind is str and not isinstance(value, str)):
        raise wrong
    try:
        if kind is int and isinstance(value, float) and not value.is_integer():
            raise wrong
        found = kind(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise wrong from error
    if kind is int and abs(found) > _LARGEST:
        raise InputError(f"{key} must be an integer of at most {_LARGEST}, got {_shown(value)}")
    return found


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _rho_schedule(value: Any) -> tuple[tuple[float, float], ...]:
    """Read pairs, or text such as ``0:0.05,0.8:0.5``."""
    try:
        if isinstance(value, str):
            value = [part.split(":") for part in value.split(",") if part]
        return tuple((float(start), float(rho)) for start, rho in value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"rho_schedule must read like 0:0.05,0.8:0.5 (epoch fraction:rho), got {_shown(value)}"
        ) from error


def recipe_fields() -> dict[str, type | types.GenericAlias]:
    """Return the overridable fields and their types, in order."""
    hints = typing.get_type_hints(Recipe)
    return {f.name: hints[f.name] for f in fields(Recipe) if f.name != "name"}
