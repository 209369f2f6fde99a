import pytest
from served import running


@pytest.fixture
def server():
    with running() as found:
        yield found
