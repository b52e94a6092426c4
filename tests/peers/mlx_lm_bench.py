"""Times mlx-lm beside `wasmlx bench` on one model, in turn, and prints the ratios.

    python mlx_lm_bench.py --wasmlx PATH --model FOLDER [-p 512] [-g 256] [--pairs 5] [--device cpu|gpu] [--json]

Both sides read the same number of random tokens and generate greedily with end tokens ignored; rates are counted as
mlx_lm.benchmark counts them. Each keeps its model loaded and is warmed up once. A pair is one run of each, one after
the other, so that a machine whose speed drifts slows both; the median of the pairs' ratios is what to quote.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

import mlx.core as mx
from mlx_lm.generate import generate_step
from mlx_lm.utils import load_model


def time_mlx_lm(model, prompt, tokens):
    """One run: rates of prompt and answer in tokens a second."""
    start = time.perf_counter()
    for count, _ in enumerate(generate_step(mx.array(prompt), model, max_tokens=tokens)):
        if count == 0:
            prompt_time = time.perf_counter() - start
            start = time.perf_counter()
    return {"prompt_tps": len(prompt) / prompt_time, "generation_tps": tokens / (time.perf_counter() - start)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wasmlx", required=True)
    parser.add_argument("--model", type=Path, required=True, help="what mlx-lm loads")
    parser.add_argument("--wasmlx-model", help="what wasmlx loads, where it is another folder")
    parser.add_argument("-p", type=int, default=512)
    parser.add_argument("-g", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "gpu"])
    parser.add_argument("--sampler", default="plan")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.device:
        mx.set_default_device(getattr(mx, arguments.device))

    model, config = load_model(arguments.model)
    mx.random.seed(0)
    prompt = mx.random.randint(0, config["vocab_size"], (arguments.p,)).tolist()
    command = [arguments.wasmlx, "bench", "-m", arguments.wasmlx_model or str(arguments.model), "--json"]
    command += ["-p", str(arguments.p), "-g", str(arguments.g), "-n", "1", "--sampler", arguments.sampler]
    if arguments.device:
        command += ["--device", arguments.device]

    # A BLAS that is preloaded to make mlx-lm fast is not for wasmlx, which brings its own.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    time_mlx_lm(model, prompt, min(arguments.g, 16))
    pairs = []
    for _ in range(arguments.pairs):
        theirs = time_mlx_lm(model, prompt, arguments.g)
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        ours = json.loads(output.splitlines()[-1])
        pairs.append({"mlx_lm": theirs, "wasmlx": {name: ours[name] for name in theirs}})

    ratios = {
        name: statistics.median(pair["wasmlx"][name] / pair["mlx_lm"][name] for pair in pairs)
        for name in ("prompt_tps", "generation_tps")
    }
    if arguments.json:
        print(json.dumps({"model": str(arguments.model), "pairs": pairs, "ratios": ratios}))
        return
    for name, ratio in ratios.items():
        ours = statistics.median(pair["wasmlx"][name] for pair in pairs)
        theirs = statistics.median(pair["mlx_lm"][name] for pair in pairs)
        print(f"{name}: wasmlx {ours:.1f}, mlx-lm {theirs:.1f}, ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
