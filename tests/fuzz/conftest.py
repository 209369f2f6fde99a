"""How many files are tried: few, always the same, with all tests; many in `make fuzz`."""

import pytest
from hypothesis import HealthCheck, settings

_ALWAYS = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("quick", max_examples=12, derandomize=True, **_ALWAYS)
settings.register_profile("long", max_examples=1500, **_ALWAYS)


def pytest_configure(config: pytest.Config) -> None:
    """Take the few files, unless ``--hypothesis-profile`` asks for others."""
    if not config.getoption("--hypothesis-profile", None):
        settings.load_profile("quick")


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory):
    return tmp_path_factory.mktemp("changed")
