"""Nets for images of 3x12x12 and 4 classes, each for what it asks of a way of making products."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from oracles import random_vector
from torch import Tensor, nn

from checkpoints.models.bottlenecks import BottleneckResNet
from checkpoints.models.resnet import ResNet
from spectra import HessianOperator, make_generator


class Graph(nn.Module):
    """A net whose forward pass is a function of its modules and the images."""

    def __init__(self, forward: Callable[..., Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


class CubeWithoutJvp(torch.autograd.Function):
    """x³ with a backward that can be differentiated, and no forward mode."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * gradient


def conv(*args: int, norm: bool = True, affine: bool = True, **options: object) -> nn.Module:
    layer = nn.Conv2d(*args, **options)
    tail = [nn.BatchNorm2d(args[1], affine=affine)] if norm else []
    return nn.Sequential(layer, *tail, nn.ReLU())


def head(channels: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4)


def resnet(**options: str) -> ResNet:
    return ResNet(blocks=(1, 1), planes=(4, 8), num_classes=4, **options)


def bottlenecks(**options: str) -> BottleneckResNet:
    return BottleneckResNet(blocks=(1, 2, 1, 1), planes=(2, 2, 3, 3), num_classes=4, **options)


def activations() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.Conv2d(4, 4, 3), nn.SiLU(inplace=True),
        nn.Conv2d(4, 4, 3), nn.Tanh(), *head(4),
    )  # fmt: skip


def residual_sums() -> nn.Module:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        h = net.stem(x)
        h = h + net.a(h)
        g = net.b(h)
        g += h
        return net.head(torch.add(F.relu(g), net.a(h)).mean((2, 3)))

    a, b = conv(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
    return Graph(forward, stem=conv(3, 4, 3), a=a, b=b, head=nn.Linear(4, 4))


def views() -> nn.Module:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        x = net.features(x)
        return net.head(x.view(x.size(0), -1))

    return Graph(
        forward, features=conv(3, 3, 3, stride=3), head=nn.Sequential(nn.Linear(48, 5), nn.ReLU(),
                                                                     nn.Linear(5, 4))
    )  # fmt: skip


def twice() -> nn.Module:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        x = net.stem(x)
        return net.head(net.body(net.body(x)).mean((2, 3)))

    return Graph(forward, stem=conv(3, 4, 3), body=conv(4, 4, 3, padding=1), head=nn.Linear(4, 4))


def tied() -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(432, 4), nn.Tanh(), nn.Linear(4, 4),
                        nn.Tanh(), nn.Linear(4, 4))  # fmt: skip
    net[5].weight = net[3].weight
    return net


def control_flow_by_shape() -> nn.Module:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        return net.body(x if x.shape[-1] > 4 else F.interpolate(x, scale_factor=2))

    return Graph(forward, body=nn.Sequential(conv(3, 4, 3), *head(4)))


def control_flow_by_value() -> nn.Module:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        return net.body(x if x.mean() < 100 else -x)

    return Graph(forward, body=nn.Sequential(conv(3, 4, 3), *head(4)))


def overwritten() -> nn.Module:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        h = net.stem(x)
        g = F.relu_(h)  # h is another value from here on
        return net.head((h + g).mean((2, 3)))

    return Graph(forward, stem=nn.Conv2d(3, 4, 3), head=nn.Linear(4, 4))


def attention() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(2), nn.TransformerEncoderLayer(144, 2, 8, batch_first=True), nn.Flatten(),
        nn.Linear(432, 4),
    )  # fmt: skip


def without_jvp() -> nn.Module:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        return net.head(CubeWithoutJvp.apply(net.stem(x)))

    return Graph(forward, stem=nn.Conv2d(3, 4, 3), head=nn.Sequential(nn.Conv2d(4, 4, 3), *head(4)))


# Nets that the tangent pass reads.
TANGENT: dict[str, Callable[[], nn.Module]] = {
    "conv-bn-relu": lambda: nn.Sequential(conv(3, 4, 3), conv(4, 5, 3, bias=False), *head(5)),
    "strides": lambda: nn.Sequential(
        conv(3, 4, 3, stride=2, padding=1), conv(4, 5, 3, stride=(1, 2)), *head(5)
    ),
    "dilation": lambda: nn.Sequential(conv(3, 4, 3, padding=2, dilation=2), *head(4)),
    "groups": lambda: nn.Sequential(
        conv(3, 6, 3, groups=3), conv(6, 4, 3, groups=2, norm=False), *head(4)
    ),
    "no-bias": lambda: nn.Sequential(conv(3, 4, 3, norm=False, bias=False), *head(4)),
    "bn-without-affine": lambda: nn.Sequential(conv(3, 4, 3, affine=False), *head(4)),
    "max-pool": lambda: nn.Sequential(
        conv(3, 4, 3), nn.MaxPool2d(2), conv(4, 4, 3, padding=1), nn.MaxPool2d(3, 2, 1), *head(4)
    ),
    "avg-pool": lambda: nn.Sequential(
        conv(3, 4, 3), nn.AvgPool2d(3, 2, 1), conv(4, 4, 3), *head(4)
    ),
    "strided-1x1": lambda: nn.Sequential(
        conv(3, 4, 1, stride=2), conv(4, 20, 3), conv(20, 4, 1, stride=(1, 2)), *head(4)
    ),
    "in-place-relu": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3),
        nn.ReLU(inplace=True), *head(4),
    ),
    "activations": activations,
    "residual-sums": residual_sums,
    "option-a": resnet,
    "option-b": lambda: resnet(shortcut="B"),
    "cosine-head": lambda: resnet(head="cosine"),
    "bottlenecks": bottlenecks,
    "bottlenecks-cosine": lambda: bottlenecks(head="cosine"),
    "view-by-size": views,
    "view": lambda: Graph(
        lambda net, x: net.head(net.stem(x).view(-1, 48)), stem=conv(3, 3, 3, stride=3),
        head=nn.Linear(48, 4),
    ),
    "dropout": lambda: nn.Sequential(conv(3, 4, 3), nn.Dropout2d(), *head(4)[:2], nn.Dropout(),
                                     nn.Linear(4, 4)),
    "module-used-twice": twice,
    "flatten-first": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(432, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 4)
    ),
    "same-padding": lambda: nn.Sequential(conv(3, 4, 3, padding="same"), *head(4)),
    "tied-weights": tied,
    "attention": attention,
    "no-forward-mode": without_jvp,
    "pool-first": lambda: nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), conv(3, 4, 3), *head(4)),
}  # fmt: skip

# Nets that it does not.
DOUBLE_BACKWARD: dict[str, Callable[[], nn.Module]] = {
    "control-flow-by-shape": control_flow_by_shape,
    "overwritten-value": overwritten,
    "control-flow-by-value": control_flow_by_value,
}
NETS = TANGENT | DOUBLE_BACKWARD
# Nets that torch.func refuses.
WITHOUT_FUNC = ("control-flow-by-value", "no-forward-mode")
# Relative to max|H| or ‖H v‖: sums of some thousand terms in float64, each way in another order.
ROUNDING = 1e-12


def make_net(name: str) -> nn.Module:
    """Return the net in eval mode, its parameters and running averages drawn from a generator."""
    with torch.random.fork_rng(devices=[]):  # the constructors draw from the global generator
        model = NETS[name]().eval()
    generator = make_generator(0, "products", name)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                shape = module.running_mean.shape
                module.running_mean.copy_(0.1 * torch.randn(shape, generator=generator))
                module.running_var.copy_(0.5 + torch.rand(shape, generator=generator))
                if module.affine:
                    module.weight.add_(1.0)
    return model


def images_and_labels(n: int = 7) -> tuple[Tensor, Tensor]:
    generator = make_generator(0, "product images")
    return torch.randn(n, 3, 12, 12, generator=generator), torch.arange(n) % 4


def operator(model: nn.Module | str, **options) -> HessianOperator:
    net = make_net(model) if isinstance(model, str) else model
    images, labels = images_and_labels()
    defaults = {"dtype": torch.float64, "check": False, "micro_chunk": 3}
    return HessianOperator(net, images, labels, **{**defaults, **options})


def assert_same_product(a: HessianOperator, b: HessianOperator) -> None:
    v = random_vector(a.size, "v")
    expected = b.matvec(v)
    assert float(expected.norm()) > 0
    assert float((a.matvec(v) - expected).norm()) <= ROUNDING * float(expected.norm())
