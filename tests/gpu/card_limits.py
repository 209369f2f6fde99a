"""What a card may differ by, launch and wait; launches and waits may only fall."""

WAITS_A_LANCZOS_STEP = 0.2
# The pretended card runs the CPU's kernels, on chunks of another size. A real one has its own, and
# after a few steps of training their rounding shows.
ROUNDING = {True: 1e-5, False: 5e-2}
# Where runs stop by their tolerance, .03 of a residual: the error of a value is quadratic in it,
# and the card, which looks every fifth step, stops later.
TOLERANCE = 5e-3
