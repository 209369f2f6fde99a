import pytest

from checkpoints.data import (
    DataRequest,
    ImageData,
    load_data,
)


@pytest.fixture(autouse=True)
def no_data_folder(request, monkeypatch):
    if "shared_data" not in request.keywords:
        monkeypatch.delenv("SPECTRA_DATA", raising=False)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_data(DataRequest("digits"))
