import gc

import pytest


@pytest.fixture(autouse=True, scope="module")
def _only_what_is_new_is_looked_at():
    gc.collect()
    gc.freeze()  # what imports have made: a million objects, which every search would go through
    yield
    gc.unfreeze()
