"""What a release says of itself agrees with what is there."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from release.hashes import HASHED, pinned
from release.installed import MODULES, PACKAGE_DATA

from spectra import __version__
from spectra.system.files.limits import NAMES

ROOT = Path(__file__).parents[2]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def tracked(*places: str) -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("only git says which files are tracked")
    return subprocess.run(
        ["git", "ls-files", *places], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")[:-1]


def test_the_version_is_that_of_the_newest_heading_of_the_changelog():
    newest = re.findall(r"^## (\S+)", text_of("CHANGELOG.md"), re.MULTILINE)[0]
    assert newest == __version__


def test_the_version_that_results_record_names_no_commit_and_no_date():
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_the_citation_is_of_this_version_and_license():
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert citation["license"] == "MIT"
    assert citation["message"]
    assert citation["authors"]


def test_every_file_of_the_packages_that_is_no_code_is_in_the_wheel():
    beside_code = [name for name in tracked(*MODULES) if not name.endswith((".py", ".safetensors"))]
    # The sources that page.html is built of stay in the repository.
    page = "figures/report/page/"
    kept = [n for n in beside_code if not n.startswith(page) or n == f"{page}page.html"]
    assert sorted(kept) == sorted(PACKAGE_DATA)


def test_pinned_versions_are_read_from_either_file():
    assert pinned("# head\nPyYAML==6.0.3\nast_serialize==0.13.1\n") == {
        "pyyaml": "6.0.3",
        "ast-serialize": "0.13.1",
    }
    assert pinned("a-b==1 \\\n    --hash=sha256:00\n    # via c\n") == {"a-b": "1"}


@pytest.mark.parametrize("name", ["torch", "numpy", "scipy", "safetensors", "msgspec", "filelock"])
def test_what_runs_with_the_package_has_digests_of_its_files(name):
    hashed = text_of(HASHED.name)
    block = re.search(rf"(?m)^{name}==.*\n((?: .*\n)+)", hashed)
    assert block
    assert re.search(r"--hash=sha256:[0-9a-f]{64}", block[1])


@pytest.mark.parametrize("name", ["SECURITY.md", "THIRD-PARTY.md", "docs/threat-model.md"])
def test_files_that_a_notice_names_are_there(name):
    of_ours = r"`((?:tests|docs|spectra|checkpoints)/[\w/.-]+|[\w-]+\.(?:md|txt))`"
    named = re.findall(of_ours, text_of(name))
    links = re.findall(r"\]\(((?!http)[^)#]+)", text_of(name))
    assert named or links
    assert [file for file in named if not (ROOT / file).exists()] == []
    assert [file for file in links if not (ROOT / name).parent.joinpath(file).exists()] == []


def test_the_threat_model_names_every_limit():
    table = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", text_of("docs/threat-model.md"), re.MULTILINE)
    assert tuple(table) == NAMES
