"""Runs the fixture models through `wasmlx run` on a device and compares with the tokens that mlx-lm gave on a CPU.

    python check_tokens.py --wasmlx PATH [--device gpu] [--dtype float32] [NAME ...]

Prints, for each model, at which token the two part, or that they do not. Devices round differently, so a late
difference means little; an early one means that something is computed wrongly.
"""

import argparse
import json
import subprocess
from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures"
BUILTIN = FIXTURES.parent.parent / "host/store/default-model"


def cases(names):
    for name, case in json.loads((FIXTURES / "models/expected.json").read_text()).items():
        if not names or name in names:
            yield name, FIXTURES / "models" / name, case
    for name, case in json.loads((FIXTURES / "builtin/expected.json").read_text()).items():
        if not names or "builtin" in names:
            yield name, BUILTIN, case


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--wasmlx", required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()
    for name, folder, case in cases(arguments.names):
        expected = case["tokens"]
        command = [arguments.wasmlx, "run", "-m", str(folder), "--temperature", "0", "--ignore-eos", "--json"]
        command += ["--prompt-tokens", ",".join(map(str, case["prompt"])), "--max-tokens", str(len(expected))]
        command += ["--device", arguments.device, "--dtype", arguments.dtype]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            print(f"{name}: failed with {result.returncode}: {result.stderr.strip()}")
            continue
        got = json.loads(result.stdout)["tokens"]
        same = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
        print(f"{name}: {'all' if same == len(expected) else same} of {len(expected)} tokens the same")


if __name__ == "__main__":
    main()
