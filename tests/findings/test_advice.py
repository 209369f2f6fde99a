"""Nobody is advised to do what has been done."""

from spectra import decide


def advice(*, in_float64: bool) -> str:
    """Return what would settle a λmin that is too close to -τλmax to be told from it."""
    found = decide(
        lambda_min=-1.2, lambda_max=100.0, grad_norm=0.0, converged=True, largest_converged=True,
        tau=0.01, residual_max=50.0, in_float64=in_float64,
    )  # fmt: skip
    assert found.name == "undecided"
    return found.next_step


def test_float64_is_no_advice_to_a_run_in_float64():
    assert "--dtype float64" in advice(in_float64=False)
    assert "float64" not in advice(in_float64=True)
