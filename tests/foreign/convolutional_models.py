"""Convolutional networks in the styles of the public ones."""

import torch
import torch.nn.functional as F
from foreign_case import Case, Classifier, Wired, parameter
from torch import Tensor, nn


def conv(inside: int, outside: int, size: int = 3, *, act: nn.Module | None = None, **options):
    options = {"padding": size // 2, "bias": False, **options}
    layers = [nn.Conv2d(inside, outside, size, **options), nn.BatchNorm2d(outside)]
    return nn.Sequential(*layers, *([act] if act else []))


def residual(body: nn.Module, shortcut: nn.Module | None = None, act=F.relu) -> nn.Module:
    return Wired(
        lambda m, x: act(m.body(x) + (m.shortcut(x) if m.shortcut else x)),
        body=body,
        shortcut=shortcut,
    )


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 2), nn.Tanh(),
        nn.Flatten(), nn.Linear(24, 8), nn.Tanh(), nn.Linear(8, 3),
    )  # fmt: skip


def bottleneck() -> nn.Module:
    body = nn.Sequential(
        conv(4, 2, 1, act=nn.ReLU(True)), conv(2, 2, stride=2, act=nn.ReLU(True)), conv(2, 8, 1)
    )
    return Classifier(
        nn.Sequential(conv(3, 4, act=nn.ReLU()), residual(body, conv(4, 8, 1, stride=2))), 8
    )


def preactivation() -> nn.Module:
    body = nn.Sequential(
        nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1),
    )  # fmt: skip
    return Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), residual(body, act=lambda x: x)), 4)


def dense_net() -> nn.Module:
    def grow(m, x: Tensor) -> Tensor:
        for layer in m.layers:
            x = torch.cat([x, layer(x)], 1)
        return x

    layers = nn.ModuleList(
        nn.Sequential(nn.BatchNorm2d(w), nn.ReLU(), nn.Conv2d(w, 2, 3, padding=1)) for w in (3, 5)
    )
    return Classifier(Wired(grow, layers=layers), 7)


def inception() -> nn.Module:
    return Classifier(
        Wired(
            lambda m, x: torch.cat([m.one(x), m.three(x), m.pooled(F.max_pool2d(x, 3, 1, 1))], 1),
            one=conv(3, 2, 1, act=nn.ReLU()),
            three=conv(3, 2, 3, act=nn.ReLU()),
            pooled=conv(3, 2, 1, act=nn.ReLU()),
        ),
        6,
    )


def inverted_residual(act: type[nn.Module], gate: nn.Module | None) -> nn.Module:
    def forward(m, x: Tensor) -> Tensor:
        y = m.depthwise(m.expand(x))
        if m.gate is not None:
            y = y * m.gate(y)
        return x + m.project(y)

    return Classifier(
        nn.Sequential(
            conv(3, 4, act=act()),
            Wired(
                forward,
                expand=conv(4, 8, 1, act=act()),
                depthwise=conv(8, 8, groups=8, act=act()),
                gate=gate,
                project=conv(8, 4, 1),
            ),
        ),
        4,
    )


def squeeze(last: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 2, 1), nn.ReLU(), nn.Conv2d(2, 8, 1), last
    )


def written_hardsigmoid(model: nn.Module, x: Tensor) -> Tensor:
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.Hardsigmoid):
                setattr(module, name, Wired(lambda m, x: F.relu6(x + 3) / 6))
    return model(x)


def convnext() -> nn.Module:
    def forward(m, x: Tensor) -> Tensor:
        y = m.norm(m.depthwise(x).permute(0, 2, 3, 1))
        return x + (m.scale * m.out(F.gelu(m.wide(y)))).permute(0, 3, 1, 2)

    block = Wired(
        forward, depthwise=nn.Conv2d(4, 4, 7, padding=3, groups=4), norm=nn.LayerNorm(4, eps=1e-6),
        wide=nn.Linear(4, 8), out=nn.Linear(8, 4), scale=parameter(4),
    )  # fmt: skip
    return Classifier(nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), block), 4)


def shuffle_net() -> nn.Module:
    def forward(m, x: Tensor) -> Tensor:
        kept, worked = x.chunk(2, 1)
        y = torch.cat([kept, m.branch(worked)], 1)
        n, c, h, w = y.shape
        return y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)

    return Classifier(
        nn.Sequential(conv(3, 8), Wired(forward, branch=conv(4, 4, groups=4, act=nn.ReLU()))), 8
    )


def fire() -> nn.Module:
    return nn.Sequential(
        Wired(
            lambda m, x: torch.cat([F.relu(m.one(m.squeeze(x))), F.relu(m.three(m.squeeze(x)))], 1),
            squeeze=nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(inplace=True)),
            one=nn.Conv2d(2, 3, 1),
            three=nn.Conv2d(2, 3, 3, padding=1),
        ),
        nn.Conv2d(6, 3, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def standardised() -> nn.Module:
    """Weight standardisation with group norm, as BiT has it."""

    def forward(m, x: Tensor) -> Tensor:
        w = m.conv.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.relu(m.norm(F.conv2d(x, w, m.conv.bias, padding=1)))

    return Classifier(Wired(forward, conv=nn.Conv2d(3, 4, 3), norm=nn.GroupNorm(2, 4)), 4)


def unet() -> nn.Module:
    def forward(m, x: Tensor) -> Tensor:
        fine = F.relu(m.first(x))
        coarse = F.relu(m.down(fine))
        up = F.interpolate(m.up(coarse), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return m.last(torch.cat([fine, up], 1))

    return Classifier(
        Wired(
            forward, first=nn.Conv2d(3, 3, 3, padding=1), down=nn.Conv2d(3, 4, 3, stride=2),
            up=nn.ConvTranspose2d(4, 3, 2, stride=2), last=nn.Conv2d(6, 4, 3),
        ),
        4,
    )  # fmt: skip


def blur_pool() -> nn.Module:
    net = Wired(
        lambda m, x: F.conv2d(F.silu(m.conv(x)), m.kernel, stride=2, groups=4),
        conv=nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
    )
    net.register_buffer(
        "kernel", torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).expand(4, 1, 3, 3) / 16
    )
    return Classifier(net, 4)


def branches() -> nn.Module:
    return Classifier(
        Wired(
            lambda m, x: F.relu(m.three(x) + m.one(x) + m.norm(x)),
            three=conv(3, 3), one=conv(3, 3, 1), norm=nn.BatchNorm2d(3),
        ),
        3,
    )  # fmt: skip


CASES = {
    "LeNet": Case(lenet),
    "VGG with batch norm": Case(
        lambda: nn.Sequential(
            conv(3, 4, act=nn.ReLU(True)),
            nn.MaxPool2d(2),
            conv(4, 6, act=nn.ReLU(True)),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(24, 8),
            nn.ReLU(True),
            nn.Dropout(),
            nn.Linear(8, 3),
        )
    ),
    "ResNet": Case(
        lambda: Classifier(
            nn.Sequential(
                conv(3, 4, act=nn.ReLU()),
                residual(nn.Sequential(conv(4, 4, act=nn.ReLU()), conv(4, 4))),
            ),
            4,
        )
    ),
    "ResNet with bottlenecks": Case(bottleneck),
    "ResNet with norms before": Case(preactivation),
    "DenseNet": Case(dense_net),
    "Inception": Case(inception),
    "MobileNetV2": Case(lambda: inverted_residual(nn.ReLU6, None)),
    "MobileNetV3": Case(
        lambda: inverted_residual(nn.Hardswish, squeeze(nn.Hardsigmoid())),
        reference=written_hardsigmoid,
    ),
    "EfficientNet": Case(lambda: inverted_residual(nn.SiLU, squeeze(nn.Sigmoid()))),
    "ConvNeXt": Case(convnext),
    "ShuffleNet": Case(shuffle_net),
    "SqueezeNet": Case(fire),
    "BiT": Case(standardised),
    "U-Net": Case(unet),
    "BlurPool": Case(blur_pool),
    "RepVGG": Case(branches),
    "instance norm, ELU": Case(
        lambda: Classifier(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.ELU()), 4
        )
    ),
    "local response norm": Case(
        lambda: Classifier(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.LocalResponseNorm(3)), 4
        )
    ),
    "pixel shuffle, PReLU": Case(
        lambda: Classifier(
            nn.Sequential(nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.PixelShuffle(2), nn.Conv2d(2, 4, 3)),
            4,
        )
    ),
    "volumes": Case(
        lambda: nn.Sequential(
            nn.Conv3d(2, 3, 3),
            nn.BatchNorm3d(3),
            nn.Mish(),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(3, 3),
        ),
        "volumes",
    ),
    "series": Case(
        lambda: Classifier(
            nn.Sequential(nn.Conv1d(5, 4, 2), nn.BatchNorm1d(4), nn.LeakyReLU(), nn.MaxPool1d(2)), 4
        ),
        "sequences",
    ),
}
