"""Products of several small losses in one pass: those of each loss alone, whatever its size."""

import pytest
import torch
from oracles import cross_entropy, random_vector, refill
from product_nets import ROUNDING, TANGENT, make_net
from torch import Tensor, nn

from spectra import make_generator
from spectra.products import make_products
from spectra.products.block.block_chunk import BlockChunk
from spectra.products.block.ways import CannotShareError, block_products, ways_of
from spectra.products.tuning import LAYOUTS, Tuning

SIZES = (1, 2, 3, 4, 5, 6, 7)
# Of the nets that a tangent pass can read, those whose small losses go one after the other.
CANNOT = {"attention"}


def group_norms() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.GroupNorm(2, 4), nn.GELU(), nn.Conv2d(4, 4, 3, groups=2),
        nn.InstanceNorm2d(4, affine=True), nn.PReLU(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 4),
    )  # fmt: skip


def layer_norms() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 4, stride=4), nn.Flatten(2), nn.LayerNorm(9), nn.Tanh(), nn.Flatten(),
        nn.Linear(36, 4, bias=False),
    )  # fmt: skip


def fully_connected() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(432, 3), nn.Tanh(), nn.Linear(3, 4), nn.ReLU())


OWN = {"group norms": group_norms, "layer norms": layer_norms, "fully connected": fully_connected}


def network(name: str) -> nn.Module:
    made = refill(OWN[name](), name) if name in OWN else make_net(name)
    return made.double().eval()


def batch(size: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = make_generator(0, "a small loss", size)
    images = torch.randn(size, 3, 12, 12, generator=generator, dtype=torch.float64)
    weights = torch.rand(size, generator=generator, dtype=torch.float64)
    return images, torch.arange(size) % 4, weights


def differences(model: nn.Module, tuning: Tuning = Tuning()) -> list[float]:  # noqa: B008
    """Return how far each row's product is from that of its loss alone, relative to it."""
    products = block_products(model, cross_entropy, tuning)
    batches = [batch(size) for size in SIZES]
    ways = ways_of(products, batches[0][0], batches[0][1])
    block = BlockChunk(products, ways, len(SIZES), batch(max(SIZES)))
    for row, of_loss in enumerate(batches):
        block.fill(row, of_loss)
    size = sum(p.numel() for p in products.trained.values())
    vectors = torch.stack([random_vector(size, i) for i in range(len(SIZES))])
    found = block.product(products.direction(vectors))
    alone = make_products("double-backward", model, cross_entropy)
    wanted = [
        alone.linearise(*of_loss).product(alone.direction(v))
        for of_loss, v in zip(batches, vectors, strict=True)
    ]
    return [float((f - w).norm() / w.norm()) for f, w in zip(found, wanted, strict=True)]


@pytest.mark.parametrize("name", [*OWN, *sorted(TANGENT)])
def test_each_row_is_the_product_of_its_loss_alone(name):
    if name in CANNOT:
        with pytest.raises(CannotShareError):
            differences(network(name))
    else:
        assert max(differences(network(name))) <= ROUNDING


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_give_the_same_products(layout):
    assert max(differences(network("option-b"), Tuning(layout=layout))) <= ROUNDING
