"""Networks with something about them that a copy, a precision or a second derivative trips over."""

import threading
import warnings

import torch
import torch.nn.functional as F
from foreign_case import Case, Wired, parameter
from image_data import Compiled
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

L = nn.Linear


def mlp(middle=torch.tanh, **parts) -> nn.Module:
    """Return 8-6-3 with a function of module and features, or of features, between the layers."""
    return Wired(lambda m, x: m.last(middle(m.first(x))), first=L(8, 6), last=L(6, 3), **parts)


def of_module(middle, **parts) -> nn.Module:
    return Wired(lambda m, x: m.last(middle(m, m.first(x))), first=L(8, 6), last=L(6, 3), **parts)


def plain(model: nn.Module, x: Tensor) -> Tensor:
    return model.last(torch.tanh(model.first(x)))


def old_weight_norm() -> nn.Module:
    model = mlp()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(model.first)
    model(torch.zeros(1, 8))  # leaves a weight with a history
    del model.first.weight
    model.first.weight = model.first.weight_v.detach()  # for the copy of the reference
    return model


def normed(model: nn.Module, x: Tensor) -> Tensor:
    g, v = model.first.weight_g, model.first.weight_v
    weight = g * v / v.norm(dim=1, keepdim=True)
    return model.last(torch.tanh(F.linear(x, weight, model.first.bias)))


def parametrized() -> nn.Module:
    model = mlp()
    parametrizations.weight_norm(model.first)
    return model


def parametrized_by_hand(model: nn.Module, x: Tensor) -> Tensor:
    parts = model.first.parametrizations.weight
    g, v = parts.original0, parts.original1
    weight = g * v / v.norm(dim=1, keepdim=True)
    return model.last(torch.tanh(F.linear(x, weight, model.first.bias)))


def spectral() -> nn.Module:
    model = mlp()
    parametrizations.spectral_norm(model.first)
    return model


def tied() -> nn.Module:
    model = mlp(third=L(8, 6))
    model.third.weight = model.first.weight
    model.wiring = lambda m, x: m.last(torch.tanh(m.first(x)) * m.third(x))
    return model


class Counts(nn.Module):
    """Buffers and attributes that every pass changes, the function being the first pass's."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.kept, self.seen = L(8, 6), L(6, 3), None, {}
        self.register_buffer("passes", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        self.passes.data.mul_(2)
        if self.kept is None:
            self.kept = self.last.weight.tanh()
        self.seen.setdefault("weight", self.first.weight.sin())
        return F.linear(F.linear(x, self.seen["weight"]).tanh(), self.kept) * self.passes / 4


def counted(model: nn.Module, x: Tensor) -> Tensor:
    return F.linear(F.linear(x, model.first.weight.sin()).tanh(), model.last.weight.tanh())


def casts(m, h: Tensor) -> Tensor:
    h = h.float().tanh() * torch.ones(6) + m.shift
    return F.softmax(h.half().type(torch.float32), -1, dtype=torch.float32).type_as(m.last.weight)


def cast_nowhere(m, x: Tensor) -> Tensor:
    return m.last(F.softmax(m.first(x).tanh() + m.shift.to(x.dtype), -1))


def autocast(h: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return (h @ h.new_ones(6, 6).tril()).float().tanh()


def not_autocast(m, x: Tensor) -> Tensor:
    h = m.first(x)
    return m.last((h @ h.new_ones(6, 6).tril()).tanh())


def changes_its_input(m, x: Tensor) -> Tensor:
    x.mul_(2)
    x[:, 0] = 0
    return plain(m, x)


def embedding(layer: nn.Module) -> nn.Module:
    return Wired(lambda m, x: m.head(m.table(x).mean(1).tanh()), table=layer, head=L(4, 3))


def bag(mode: str) -> nn.Module:
    layer = nn.EmbeddingBag(9, 4, mode=mode, sparse=mode != "max")
    return Wired(lambda m, x: m.head(m.table(x).tanh()), table=layer, head=L(4, 3))


def bag_by_hand(reduce):
    return lambda m, x: m.head(reduce(F.embedding(x, m.table.weight)).tanh())


def dense_embedding(m, x: Tensor) -> Tensor:
    return m.head(F.embedding(x, m.table.weight).mean(1).tanh())


def hidden_teacher() -> nn.Module:
    """A frozen network in a list, where parameters() does not see it."""
    model = of_module(lambda m, h: torch.tanh(h + m.teacher[0](h)))
    model.teacher = [L(6, 6).requires_grad_(False)]
    return model


def teacher_by_hand(m, x: Tensor) -> Tensor:
    h, teacher = m.first(x), m.teacher[0].double()
    return m.last(torch.tanh(h + teacher(h)))


def hooked() -> nn.Module:
    model = mlp()
    model.first.register_forward_hook(lambda layer, given, made: made * 1.5)
    model.last.register_full_backward_hook(lambda layer, given, made: (2 * given[0],))
    return model


def without_hooks(m, x: Tensor) -> Tensor:
    h = 1.5 * F.linear(x, m.first.weight, m.first.bias)
    return F.linear(h.tanh(), m.last.weight, m.last.bias)


def with_lock() -> nn.Module:
    model = mlp()
    model.lock = threading.Lock()
    return model


def script(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and in use
        return torch.jit.script(model)


def low_rank() -> nn.Module:
    """A frozen layer with a trained correction of rank 1 (LoRA)."""
    return of_module(
        lambda m, h: torch.tanh(m.frozen(h) + h @ m.down.T @ m.up.T),
        frozen=L(6, 6).requires_grad_(False), down=parameter(1, 6), up=parameter(6, 1),
    )  # fmt: skip


def complex_buffer() -> nn.Module:
    model = of_module(lambda m, h: (h * m.phase).abs().square().tanh())
    model.register_buffer("phase", torch.polar(torch.ones(6), torch.arange(6.0)) + 0.5)
    return model


class Cube(torch.autograd.Function):
    """x³ with a backward that can be differentiated."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return 3 * ctx.saved_tensors[0] ** 2 * gradient


def compiled() -> nn.Module:
    """A compiled function, which has no second derivative, between the layers."""
    return mlp(torch.compile(lambda h: h.tanh(), backend="aot_eager"))


class Silent(nn.Module):
    """Its train() returns nothing, and drops no mode."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(L(8, 6), nn.Tanh(), nn.Dropout(0.5), L(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)

    def train(self, mode: bool = True) -> None:
        super().train(mode)


V = "vectors"
CASES = {
    "weight norm": Case(parametrized, V, parametrized_by_hand),
    "older weight norm": Case(old_weight_norm, V, normed),
    "spectral norm": Case(spectral, V),
    "tied weights": Case(tied, V),
    "caches and counters": Case(Counts, V, counted),
    "casts": Case(lambda: of_module(casts, shift=torch.linspace(0, 1, 6)), V, cast_nowhere),
    "autocast": Case(lambda: mlp(autocast), V, not_autocast),
    "input changed in place": Case(
        lambda: Wired(changes_its_input, first=L(8, 6), last=L(6, 3)), V
    ),
    "reentrant checkpoint": Case(
        lambda: mlp(lambda h: checkpoint(torch.tanh, h, use_reentrant=True)), V, plain
    ),
    "checkpoint": Case(
        lambda: mlp(lambda h: checkpoint(torch.tanh, h, use_reentrant=False)), V, plain
    ),
    "padded embedding": Case(lambda: embedding(nn.Embedding(9, 4, padding_idx=2)), "tokens"),
    "sparse embedding": Case(
        lambda: embedding(nn.Embedding(9, 4, sparse=True)), "tokens", dense_embedding
    ),
    "bounded embedding": Case(lambda: embedding(nn.Embedding(9, 4, max_norm=1.0)), "tokens"),
    "bag of means": Case(lambda: bag("mean"), "tokens", bag_by_hand(lambda e: e.mean(1))),
    "bag of sums": Case(lambda: bag("sum"), "tokens", bag_by_hand(lambda e: e.sum(1))),
    "bag of maxima": Case(lambda: bag("max"), "tokens", bag_by_hand(lambda e: e.amax(1))),
    "teacher in a list": Case(hidden_teacher, V, teacher_by_hand),
    "hooks": Case(hooked, V, without_hooks),
    "a lock": Case(with_lock, V, plain),
    "bfloat16 weights": Case(lambda: mlp().bfloat16(), V),
    "float16 weights": Case(lambda: mlp().half(), V),
    "data parallel and compiled inside": Case(
        lambda: nn.Sequential(nn.DataParallel(L(8, 6)), nn.Tanh(), Compiled(L(6, 3))),
        V,
        lambda m, x: m[2]._orig_mod(m[1](m[0].module(x))),
    ),
    "low rank": Case(low_rank, V),
    "complex buffer": Case(
        complex_buffer, V, lambda m, x: m.last((m.first(x) * m.phase).abs().square().tanh())
    ),
    "custom function": Case(lambda: mlp(Cube.apply), V),
    "compiled function": Case(compiled, V, plain),
    "silent train": Case(Silent, V, lambda m, x: m.inner(x)),
    "module used twice": Case(
        lambda: of_module(lambda m, h: m.act(h) * m.act(h + 1), act=nn.PReLU()), V
    ),
}
