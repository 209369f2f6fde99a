"""What a density says of its loss, as columns of the table."""

from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.spectrum_check import SpectrumCheck
from spectra.krylov.quadrature.counts import count_below, negative_mass
from spectra.krylov.quadrature.hutchinson import trace_interval

_COLUMNS = (
    "node_min", "node_max", "trace", "trace_error",
    "negative_mass", "negative_mass_low", "negative_mass_high",
)  # fmt: skip
COUNTED = ("below_tau_at_least", "below_tau", "below_tau_low", "below_tau_high")
# P times the weight of the outermost nodes and its probability, which follow from the quadrature.
ENDS = ("mass_min", "mass_max", "mass_min_probability", "mass_max_probability")
# Half of a 95 % interval is this many standard errors of a normal distribution.
_HALF = 1.96


def density_columns(record: LossAnalysis) -> dict[str, float | None]:
    """Return what the quadrature says, estimates with their intervals; nulls where there is none.

    ``trace_error`` is such that 1.96 of it to either side are the 95 % interval. ``below_tau``
    counts the eigenvalues below -τ λmax; ``below_tau_at_least`` is a bound. Of draws that change
    there is no matrix, and the extreme nodes, their mass and the mean of vᵀHv are all that is said.
    """
    found: dict[str, float | None] = dict.fromkeys((*_COLUMNS, *COUNTED, *ENDS))
    spectrum = record.spectrum
    if spectrum is None:
        return found
    found["node_min"], found["node_max"] = map(float, spectrum.nodes[[0, -1]])
    ends = SpectrumCheck.of(spectrum)
    found["mass_min"], found["mass_max"] = ends.lowest.mass, ends.highest.mass
    found["mass_min_probability"] = ends.lowest.probability
    found["mass_max_probability"] = ends.highest.probability
    trace = None if record.noise is not None else trace_interval(spectrum)
    found["trace"] = spectrum.trace
    if trace is not None:
        found["trace"] = trace.estimate
        found["trace_error"] = (trace.upper - trace.lower) / (2 * _HALF)
    if record.noise is not None:
        return found
    if spectrum.probe == "normal":
        mass = negative_mass(spectrum)
        found["negative_mass"] = mass.estimate
        found["negative_mass_low"], found["negative_mass_high"] = mass.lower, mass.upper
    below = count_below(spectrum, -record.verdict.tau * max(record.lambda_max, 0.0))
    found["below_tau_at_least"] = below.at_least
    if below.interval is not None:
        found["below_tau"] = below.interval.estimate
        found["below_tau_low"] = below.interval.lower
        found["below_tau_high"] = below.interval.upper
    return found
