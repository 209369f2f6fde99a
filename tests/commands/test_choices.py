"""The words of requests: each means something, and reading them is cheap."""

import subprocess
import sys

import pytest

from checkpoints.choices import ARCHIVE_NAMES, NORMALISATION_NAMES
from checkpoints.data.fetch import ARCHIVES
from checkpoints.data.normalisations import NORMALISATIONS


def test_every_word_for_data_means_something():
    assert tuple(ARCHIVES) == ARCHIVE_NAMES
    assert tuple(NORMALISATIONS) == NORMALISATION_NAMES


@pytest.mark.parametrize("module", ["spectra.krylov.defaults", "checkpoints.choices"])
def test_words_and_defaults_import_nothing(module):
    """Nothing of their own; what the packages above them import is tested elsewhere."""
    code = (
        f"import sys, {module.partition('.')[0]}; before = set(sys.modules); import {module}; "
        f"print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {module, module.rpartition(".")[0]}
