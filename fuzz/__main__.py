"""`python -m fuzz TARGET --seconds 300`: Atheris on one target, or on all, one after the other.

New inputs that reach new code go to a folder that git ignores; what breaks an invariant goes to the corpus
beside it, where `make test` will find it from then on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TARGETS = ("decoder", "grammar", "ingest")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz the gateway with Atheris.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=int, default=300, help="for each target (default 300)")
    chosen = parser.parse_args()
    for name in chosen.targets:
        if name not in TARGETS:
            parser.error(f"no target {name!r}: choose from {', '.join(TARGETS)}")
    codes = [run(name, chosen.seconds) for name in chosen.targets or TARGETS]
    return max(codes)


def run(name: str, seconds: int) -> int:
    """One target in a process of its own: libFuzzer ends its process."""
    found, corpus = HERE / "found" / name, HERE / "corpus" / name
    found.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", "-print_final_stats=1"]
    options += [
        f"-artifact_prefix={corpus}/finding-",
        f"-dict={HERE / 'tokens.dict'}",
        str(found),
        str(corpus),
    ]
    print(f"{name}: {seconds} s", flush=True)
    command = [sys.executable, "-m", "fuzz.target", name, *options]
    code = subprocess.run(command, cwd=HERE.parent).returncode
    print(
        f"{name}: {'no finding' if code == 0 else f'a finding, or a failure: exit code {code}'}", flush=True
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
