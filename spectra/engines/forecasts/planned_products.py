"""How many products an analysis plans, before any is made."""

from dataclasses import dataclass

from spectra.engines.settings import SolverSettings
from spectra.landscape.search import MAX_PRODUCTS

# Ours: where a class has fewer images, which images it happens to have matters, and the bootstrap
# costs less than the products.
BOOTSTRAP_IMAGES = 250
# What checks the two ends: a product each in float32, and one in float64, which counts twice.
_CHECKED, _PROVEN = 2, 2 * 2
# A bootstrap of both ends is 13 forward passes each, a sixth of a product a pass, and is tried on
# one image beside a product in float64.
_BOOTSTRAP, _BOOTSTRAP_TRIAL = 2 * 13 / 6, 13 / 6 + 2
# What measuring the bending takes, as `spectra.measure_bending` says, and what it took most often
# on the bundled networks.
_BENDING = (3, 9, 16)
# Ours: both ends of every bundled network have converged by then most often.
USUAL_STEPS = 40
# Ours: passes over the images that extremes without a density took on the bundled networks, bending
# included: 17 to 37. A class of a few images takes the most.
_EXTREMES = (8, 22, 45)
# Of a search for a stationary point, this part of its limit is most often enough.
_USUAL_SEARCH = 0.25


@dataclass(frozen=True)
class PlannedProducts:
    """Image products that an analysis takes for each image of a loss.

    A forward pass counts as a sixth, a product in float64 beside float32 ones twice, as in
    :attr:`spectra.LossAnalysis.image_products`.

    Attributes:
        least: where nothing needs more than it has to.
        usual: what networks like the bundled ones take.
        most: where everything goes to its limit.
    """

    least: float
    usual: float
    most: float

    def of_images(self, images: int) -> "PlannedProducts":
        """Return what that is for so many images, in image products."""
        return PlannedProducts(self.least * images, self.usual * images, self.most * images)


def planned_products(
    settings: SolverSettings,
    *,
    size: int,
    images: int,
    independent: bool = True,
    hessian: bool = True,
    fresh: bool = False,
) -> PlannedProducts:
    """Return what the analysis of one loss takes for each image.

    Not counted: the checks of the first loss, ``top``, ``per_layer``.

    Args:
        settings: probes, steps, what is measured besides.
        size: P, the number of parameters.
        images: of the loss.
        independent: whether the images are draws of their own; views of one image are not.
        hessian: whether the Hessian is analyzed; of the Gauss-Newton matrix nothing more is asked.
        fresh: whether every product has a new draw of the images, of which nothing is checked.

    Example:
        >>> from spectra import SolverSettings
        >>> from spectra.engines.forecasts.planned_products import planned_products
        >>> settings = SolverSettings(num_probes=2, num_steps=80, max_steps=80, bending=False)
        >>> planned_products(settings, size=19130, images=1000)
        PlannedProducts(least=166, usual=166, most=166)
    """
    if fresh:
        drawn = max(1, settings.num_probes) * min(settings.num_steps, size)
        return PlannedProducts(drawn, drawn, drawn)
    if settings.num_probes:
        found = _by_probes(settings, size)
    else:
        longest = min(settings.max_steps, size)
        # Lanczos on a selection and on all images, should the first not do.
        found = PlannedProducts(*_EXTREMES[:2], max(_EXTREMES[2], 2 * longest + _EXTREMES[2]))
    bootstrapped = hessian and independent and settings.proof
    if bootstrapped and 2 <= images <= BOOTSTRAP_IMAGES:
        found = _more(found, *[_BOOTSTRAP + _BOOTSTRAP_TRIAL / images] * 3)
    if hessian and settings.bending and settings.num_probes:
        found = _more(found, *_BENDING)
    if hessian and settings.stationary:
        limit = settings.search_products or MAX_PRODUCTS
        found = _more(found, 1, _USUAL_SEARCH * limit, limit)
    return found


def _by_probes(settings: SolverSettings, size: int) -> PlannedProducts:
    """Return the products of a density, of the run that is carried on, and of its checks."""
    steps = min(settings.num_steps, size)
    longest = min(max(settings.max_steps, settings.num_steps), size)
    usual = max(steps, min(longest, longest if settings.certify_below else USUAL_STEPS))
    checks = _CHECKED + (_PROVEN if settings.proof else 0)
    before = settings.num_probes * steps + checks
    least = before if settings.density_images == "all" else _EXTREMES[0]
    return PlannedProducts(least, before + usual - steps, before + longest - steps)


def _more(found: PlannedProducts, least: float, usual: float, most: float) -> PlannedProducts:
    return PlannedProducts(found.least + least, found.usual + usual, found.most + most)
