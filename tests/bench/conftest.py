from pathlib import Path

import pytest
from bench_parts import workload_of

from cli.bench import convolution_rate
from cli.bench.gpu_references import sizes
from cli.bench.gpu_references.make_references import prepare
from cli.bench.gpu_references.toy import toy_checkpoint, toy_data
from cli.bench.workload import Workload


@pytest.fixture(scope="module", autouse=True)
def small_convolutions():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution_rate, "BATCHES", {"cpu": (1,)})
        patch.setattr(convolution_rate, "SECONDS_PER_CASE", 0.0)
        yield


@pytest.fixture
def workload(trained_nets) -> Workload:
    return workload_of(trained_nets["conv_resnet"])


@pytest.fixture(scope="session")
def prepared_folder(tmp_path_factory) -> Path:
    """References of a toy network; tests that change a file copy the folder first."""
    folder = tmp_path_factory.mktemp("suite") / "prepared"
    return prepare(folder, sizes=sizes.TOY, data=toy_data(), network=toy_checkpoint())
