from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from torch import nn

from checkpoints.training.evaluation import evaluate
from checkpoints.training.execution import Execution
from spectra import CrossEntropy, HessianOperator
from spectra.system.exact import exact_products
from spectra.system.precision import float32_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PLACES = [
    ("generic", "all"),
    *((b, o) for b in ("cuda", "mkldnn") for o in ("all", "matmul", "conv", "rnn")),
]


def put(backend: str, operation: str, precision: str) -> None:
    torch._C._set_fp32_precision_setter(backend, operation, precision)


def get(backend: str, operation: str) -> str:
    return torch._C._get_fp32_precision_getter(backend, operation)


def nothing() -> None:
    pass


def a_mix() -> None:
    torch.backends.fp32_precision = "bf16"
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.cudnn.rnn.fp32_precision = "ieee"
    torch.set_float32_matmul_precision("medium")
    put("mkldnn", "conv", "bf16")
    put("cuda", "matmul", "none")


WAYS: dict[str, Callable[[], None]] = {
    "as-torch-has-it": nothing,
    "everything-tf32": lambda: put("generic", "all", "tf32"),
    "everything-ieee": lambda: put("generic", "all", "ieee"),
    "cuda-tf32": lambda: put("cuda", "all", "tf32"),
    "cuda-ieee-within-tf32": lambda: (put("generic", "all", "tf32"), put("cuda", "all", "ieee")),
    "matmul-tf32": lambda: put("cuda", "matmul", "tf32"),
    "matmul-ieee": lambda: put("cuda", "matmul", "ieee"),
    "convolutions-tf32": lambda: put("cuda", "conv", "tf32"),
    "convolutions-ieee": lambda: put("cuda", "conv", "ieee"),
    "convolutions-none": lambda: put("cuda", "conv", "none"),
    "cpu-bfloat16": lambda: put("mkldnn", "all", "bf16"),
    "older-high": lambda: torch.set_float32_matmul_precision("high"),
    "older-medium": lambda: torch.set_float32_matmul_precision("medium"),
    "older-matmul-and-cudnn": lambda: (
        setattr(torch.backends.cuda.matmul, "allow_tf32", True),
        setattr(torch.backends.cudnn, "allow_tf32", False),
    ),
    "older-then-newer": lambda: (
        torch.set_float32_matmul_precision("high"),
        put("cuda", "matmul", "ieee"),
    ),
    "a-mix": a_mix,
}


def older_answers() -> list[object]:
    """Return what the older interface says, or that it refuses to say."""
    found: list[object] = []
    for ask in (
        torch.get_float32_matmul_precision,
        lambda: torch.backends.cudnn.allow_tf32,
        lambda: torch.backends.cuda.matmul.allow_tf32,
    ):
        try:
            found.append(ask())
        except RuntimeError:
            found.append("refused")
    return found


def answers() -> list[object]:
    """Return what both interfaces say, as things are and were their parents to change."""
    found = [*older_answers(), *(get(*place) for place in PLACES)]
    parents = [p for p in PLACES if p[1] == "all"]
    for precision in ("none", "ieee", "tf32"):
        kept = []
        for place in parents:  # the uppermost first: what a place says is then its own
            kept.append(get(*place))
            put(*place, "none")
        for place in parents:
            put(*place, precision)
        found += [get(*place) for place in PLACES]
        for place, own in zip(parents, kept, strict=True):
            put(*place, own)
    return found


@pytest.fixture(params=list(WAYS))
def way(request):
    """Set a precision, and put back what was there when the process began."""
    parents = [p for p in PLACES if p[1] == "all"]
    WAYS[request.param]()
    yield request.param
    torch.set_float32_matmul_precision("highest")
    for place in PLACES:
        put(*place, "none")
    torch.backends.cudnn.allow_tf32 = True
    assert older_answers() == ["highest", True, False]
    assert [get(*p) for p in parents] == ["none"] * 3


@pytest.mark.parametrize("tf32", [False, True])
def test_both_interfaces_answer_afterwards_as_they_did(way, tf32):
    before = answers()
    for device in (CUDA, CPU):
        with float32_precision(device, tf32=tf32):
            pass
        assert answers() == before


def test_they_do_so_after_an_error_in_the_block(way):
    before = answers()
    with pytest.raises(KeyError), float32_precision(CUDA, tf32=False):
        raise KeyError
    assert answers() == before


@pytest.mark.parametrize(("tf32", "wanted"), [(False, "ieee"), (True, "tf32")])
def test_matrix_products_and_convolutions_on_a_card_are_as_told(way, tf32, wanted):
    with float32_precision(CUDA, tf32=tf32):
        assert torch.backends.cuda.matmul.fp32_precision == wanted
        assert torch.backends.cudnn.conv.fp32_precision == wanted
        assert torch.backends.cudnn.rnn.fp32_precision == wanted
        # torch.compile asks these two, and fails where they refuse.
        assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")
        assert torch.backends.cuda.matmul.allow_tf32 is tf32


@pytest.mark.parametrize("tf32", [False, True])
def test_a_cpu_computes_in_full_float32_whatever_is_said(way, tf32):
    with float32_precision(CPU, tf32=tf32):
        assert [get("mkldnn", o) for o in ("matmul", "conv", "rnn")] == ["ieee"] * 3


def test_blocks_within_blocks_end_one_by_one(way):
    before = answers()
    with float32_precision(CUDA, tf32=True):
        outer = answers()
        with float32_precision(CUDA, tf32=False):
            assert get("cuda", "conv") == "ieee"
        assert answers() == outer
    assert answers() == before


@pytest.mark.parametrize(("precision", "wanted"), [("float32", "ieee"), ("tf32", "tf32")])
def test_training_on_a_card_has_the_precision_it_was_given(way, precision, wanted):
    before = answers()
    with Execution(precision).settings(CUDA):
        assert get("cuda", "matmul") == get("cuda", "conv") == wanted
    assert answers() == before


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("benchmark", [False, True])
def test_products_choose_cudnn_kernels_as_told_and_in_full_float32(way, deterministic, benchmark):
    cudnn = torch.backends.cudnn
    before = answers(), cudnn.deterministic, cudnn.benchmark
    with exact_products(CUDA, deterministic=deterministic, benchmark=benchmark):
        assert (cudnn.deterministic, cudnn.benchmark) == (deterministic, benchmark)
        assert get("cuda", "matmul") == get("cuda", "conv") == "ieee"
    assert (answers(), cudnn.deterministic, cudnn.benchmark) == before


class Watched(nn.Module):
    """A linear layer that notes with what precision it runs on a CPU, for all copies of it."""

    seen: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(get("mkldnn", "matmul"))
        return self.layer(x)


@pytest.mark.parametrize(
    "work",
    [
        lambda op: None,  # what its construction did
        lambda op: op.loss(),
        lambda op: op.accuracy(),
        lambda op: op.gradient(),
        lambda op: op.scores(),
        lambda op: op.matvec(torch.ones(op.size)),
        lambda op: op.curvatures(torch.ones(1, op.size)),
        lambda op: evaluate(op.model, op.images, op.labels, num_classes=3, loss=CrossEntropy()),
    ],
    ids=["checks", "loss", "accuracy", "gradient", "scores", "product", "curvatures", "evaluation"],
)
def test_whatever_is_reported_of_a_network_is_of_full_float32(work):
    put("generic", "all", "bf16")
    Watched.seen.clear()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model, images = Watched(), torch.randn(8, 4)
        op = HessianOperator(model, images, torch.arange(8) % 3)
        work(op)
    finally:
        put("generic", "all", "none")
    assert set(model.seen) == {"ieee"}


def test_products_are_deterministic_unless_told_otherwise():
    with exact_products(CUDA):
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
