"""Compile the pretended cards, and load them before torch is imported."""

import ctypes
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("card.cpp")


def compile_card(folder: Path) -> Path:
    """Return the compiled library, which stays in ``folder`` for the next time.

    Cost: 10 to 20 seconds the first time.

    Raises:
        RuntimeError: the compiler refuses; the message is its own.
    """
    compiler = shutil.which("g++") or "g++"
    torch_version = importlib.metadata.version("torch")
    identity = SOURCE.read_bytes() + f"{torch_version} {sys.version} {compiler}".encode()
    library = folder / f"card-{hashlib.sha256(identity).hexdigest()[:16]}.so"
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = library.with_suffix(f".{os.getpid()}")
    headers = _torch() / "include"
    made = subprocess.run(
        [
            *(compiler, "-std=c++20", "-O1", "-shared", "-fPIC", str(SOURCE)),
            *("-o", str(unfinished)),
            *(f"-I{headers}", f"-I{headers / 'torch/csrc/api/include'}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise RuntimeError(f"the pretended card does not compile:\n{made.stderr[-3000:]}")
    unfinished.replace(library)
    return library


def load_card(library: Path) -> ctypes.CDLL:
    """Load the library; torch, imported afterwards, finds its cards.

    Raises:
        RuntimeError: torch is there already.
    """
    if "torch" in sys.modules:
        raise RuntimeError("the pretended card must be loaded before torch is imported")
    for name in ("libc10.so", "libtorch_cpu.so"):
        ctypes.CDLL(str(_torch() / "lib" / name), ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)


def _torch() -> Path:
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        raise RuntimeError("torch is not installed")
    return Path(found.origin).parent
