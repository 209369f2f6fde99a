"""What runs are asked for where nobody says otherwise, and the words that choose among ways.

Nothing is imported here: requests, and the help of the command line, read it without torch.
"""

PROBES = ("rademacher", "normal")
STORAGES = ("device", "host", "half", "sharded", "none")
# By the memory that there is: see spectra.engines.memory.planned_memory.
AUTO = "auto"

# Nodes: ours, because 80 resolve the densities of the test nets to the width of a plotted line;
# the paper's code uses 100. Probes: ours, the fewest that give a standard error; it uses 1.
NUM_STEPS = 80
NUM_PROBES = 2
# Of the code of Rangwani et al. 2022: wherever its protocol is run.
PUBLISHED_STEPS = 100

# Ours: with |β s| <= .01 |θ| the eigenvalue nearest to θ is within 1 %, and in practice, the error
# being quadratic in the residual, far closer.
TOLERANCE = 1e-2
# Ours, for extremes from active images: a residual of 5 % of |θ| once stopped at the second-lowest
# eigenvalue, 6 % off; 3 % has left errors under 1 % in |λmin/λmax| on every network tried
# (docs/benchmarks.md).
ACTIVE_TOLERANCE = 0.03
# Ours: eigenvalues below 1e-4 of the largest count as zero; a tenth of the verdicts' tolerance,
# and well above float32 rounding.
FLOOR = 1e-4
MAX_STEPS = 300
# Ours: of steps, probes or eigenpairs that are asked for. A million products of the smallest
# network take an hour, so that more is a slip.
MOST_STEPS = 1_000_000
