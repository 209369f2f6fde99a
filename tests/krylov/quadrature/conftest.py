import pytest
from known_spectra import Known, density_of, eigenvalues_of_nets

SEEDS = range(4)


@pytest.fixture(scope="session")
def nets() -> list[Known]:
    """Nine trained nets, P = 99 to 507, four quadratures of four probes each."""
    return [
        Known(eigenvalues, density_of(eigenvalues, "net", k, seed, num_probes=4, num_steps=60))
        for k, eigenvalues in enumerate(eigenvalues_of_nets(3))
        for seed in SEEDS
    ]
