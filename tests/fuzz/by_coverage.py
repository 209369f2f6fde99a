"""Coverage-guided fuzzing of every reader, by atheris: Google's libFuzzer for Python.

``python tests/fuzz/by_coverage.py --minutes 30`` gives each reader its share of CPU time, in a
process of its own. What breaks one is kept in ``--found``; copied to ``corpus/READER`` it is tried
with all other tests. Exit code 1: something was found.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Ours: what breaks a reader ends its process, which is started again this often with another seed.
MOST_FOUND = 5
# Ours: most sound files have less, and long inputs are slow; of longer ones none is cut.
LONG = 20_000


def fuzz(name: str, cpu_seconds: float, seed: int, found: Path) -> None:
    """Try one reader until its CPU time is over; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["checkpoints", "spectra"]):
        from guarded import MEMORY, SECONDS, attempt
        from reader_table import READERS

    reader = READERS[name]
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    end = time.process_time() + cpu_seconds
    tried = 0

    with tempfile.TemporaryDirectory() as place:
        starts = Path(place) / "corpus"
        starts.mkdir()
        kept = sorted((Path(__file__).with_name("corpus") / name).glob("*"))
        contents = [*reader.sound(), *(p.read_bytes() for p in kept)]
        longest = max(LONG, *(len(content) + 100 for content in contents))
        for number, content in enumerate(contents):
            (starts / str(number)).write_bytes(content)

        def one_input(content: bytes) -> None:
            nonlocal tried
            if time.process_time() > end:
                print(f"{name}: {tried} inputs, nothing found", flush=True)
                os._exit(0)
            tried += 1
            attempt(reader, content, Path(place) / "files", timed=False)

        options = [
            f"-seed={seed}", f"-timeout={SECONDS}", f"-rss_limit_mb={used + MEMORY // 2**20}",
            f"-max_len={longest}", f"-artifact_prefix={found}/{name}-", "-verbosity=0",
        ]  # fmt: skip
        mutator = changed_tree if reader.form == "json" else None
        atheris.Setup([sys.argv[0], str(starts), *options], one_input, custom_mutator=mutator)
        atheris.Fuzz()


def changed_tree(content: bytes, longest: int, seed: int) -> bytes:
    """Change one value of JSON half of the time, and bytes the other half."""
    import atheris
    from mutations import VALUES, places

    rng = random.Random(seed)
    try:
        tree = json.loads(content) if rng.random() < 0.5 else None
    except (ValueError, RecursionError):
        tree = None
    everywhere = list(places(tree)) if isinstance(tree, dict | list) else []
    if not everywhere:
        return bytes(atheris.Mutate(content, longest))
    place = rng.choice(everywhere)
    at = tree
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = rng.choice(VALUES)
    return json.dumps(tree).encode()[:longest]


def fuzz_all(names: list[str], minutes: float, seed: int, found: Path) -> list[str]:
    """Try each reader for its share of the time; return the names of those that broke."""
    share = minutes * 60 / len(names)
    broke = []
    for name in names:
        for attempt in range(MOST_FOUND):
            command = [sys.executable, __file__, "--only", name, "--minutes", str(share / 60)]
            command += ["--seed", str(seed + attempt), "--found", str(found)]
            if subprocess.run(command).returncode == 0:
                break
            broke.append(name)
    return sorted(set(broke))


def main() -> int:
    """Read the options and fuzz."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("readers", nargs="*", help="[all]")
    options.add_argument("--minutes", type=float, default=30.0, help="of CPU time, in all")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--found", type=Path, default=Path("runs/fuzz"))
    options.add_argument("--only", help="one reader, in this process")
    given = options.parse_args()
    given.found.mkdir(parents=True, exist_ok=True)
    if given.only:
        fuzz(given.only, given.minutes * 60, given.seed, given.found)
    from reader_table import READERS

    broke = fuzz_all(given.readers or list(READERS), given.minutes, given.seed, given.found)
    print(f"broke: {', '.join(broke)}; see {given.found}" if broke else "nothing found")
    return 1 if broke else 0


if __name__ == "__main__":
    sys.exit(main())
