"""The references of the jobs: exact, kept, and what an oracle would grant."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from cli.bench.comparison.converged_extremes import (
    Reference,
    ReferenceEnd,
    ReferenceFile,
    converged_reference,
    kept_reference,
)
from spectra import HessianOperator, InputError, make_generator


def test_the_reference_is_the_exact_extremes(trained_net):
    op = HessianOperator(trained_net.model, trained_net.images, trained_net.labels)
    found = converged_reference(op, make_generator(0, "test"))
    ends = [found.smallest.value, found.largest.value]
    # The residual allows 1e-2; the error is its square over the gap, and λmin of a convex net is
    # zero to within what counts as zero.
    wanted = trained_net.eigenvalues[[0, -1]].tolist()
    assert ends == pytest.approx(wanted, rel=1e-3, abs=1e-4 * trained_net.scale)
    assert found.converged


class Weights(nn.Module):
    """A network whose outputs are its weights, whatever the image."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(size))

    def forward(self, images: Tensor) -> Tensor:
        return self.w.expand(len(images), -1)


@pytest.mark.parametrize("seed", range(8))
def test_the_reference_is_the_lowest_of_two_close_eigenvalues(seed):
    # Without the steps it makes beyond its tolerance, seed 1 ends at -1.
    spectrum = torch.cat(
        [torch.tensor([-1.012, -1.0]), torch.linspace(-0.6, 1, 390), torch.linspace(2, 50, 8)]
    )
    op = HessianOperator(
        Weights(400),
        torch.zeros(3, 1),
        torch.zeros(3, dtype=torch.int64),
        loss=lambda outputs, _: 0.5 * (outputs**2 * spectrum.to(outputs)).sum(1),
        products="double-backward",
        check=False,
    )
    found = converged_reference(op, make_generator(seed, "x"))
    assert found.smallest.value == pytest.approx(-1.012, rel=1e-3)


def test_the_oracle_grants_the_steps_after_which_the_ratio_stays():
    end = ReferenceEnd(1.0, 0.0, 0.0)
    reference = Reference(end, replace(end, value=2.0), (0.1, 0.5, 0.4, 0.499, 0.5), True)
    assert reference.oracle_steps == 4


def test_a_kept_reference_is_not_computed_again(workload, tmp_path, monkeypatch):
    op = workload.operator()
    path = tmp_path / "references.json"
    first = kept_reference(op, digest="d", label=0, file=ReferenceFile(path))
    monkeypatch.setattr("cli.bench.comparison.converged_extremes.converged_reference", None)
    assert kept_reference(op, digest="d", label=0, file=ReferenceFile(path)) == first


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match="not a file of bench references"):
        ReferenceFile(tmp_path / "x.json")
