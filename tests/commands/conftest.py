from pathlib import Path

import pytest
from command_line import SMALL, invoke


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    result = invoke("train", "ce-drw", "--epochs", 3, "--n-max", 40, "--keep", "1,3", "-o", folder)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def analysis_folder(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analysis")
    result = invoke("analyze", run_folder, "--classes", "0,9,tail", "-o", folder, *SMALL)
    assert result.exit_code == 0, result.output
    return folder
