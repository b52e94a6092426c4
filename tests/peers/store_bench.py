"""Times the store beside its peers, in turn, and prints the ratios.

    python store_bench.py --wasmlx PATH --hub-server PATH [--hf PATH] [--gigabytes 1.0] [--rounds 7] [--folder DIR]
                          [--only pull|verify|import] [--json]

A model of two files of random bytes is made in DIR, where all that is written goes, and removed at the end. The hub is
the tests' own, on this machine: `cargo build --workspace --bin wasmlx --bin hub-server`.

  pull    beside curl, one file after the other and with --parallel, and `hf download` where it is named
  verify  beside sha256sum and openssl
  import  beside the same; the store links to the files, so it reads as much as they do

A round is one run of each, one after the other, into an empty folder with nothing left to be written to the disk; the
median of the rounds' ratios, their time to ours, is what to quote: above 1 wasmlx is the faster. pull and hf bring what
they write to the disk before they end or check its SHA-256, curl does neither. CPU seconds, of user and system
together, are those of the client alone.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

MODEL = "bench/noise"
FILES = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]


def make_model(folder, size):
    """Files that have nothing in common; the last holds what a rounded size leaves."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    for number, name in enumerate(FILES):
        count = size // len(FILES)
        tensor = {f"noise.{number}": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}
        header = json.dumps(tensor).encode()
        with open(folder / name, "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            while count > 0:
                file.write(os.urandom(min(count, 1 << 24)))
                count -= min(count, 1 << 24)


def start_hub(program, folder):
    """The server and its address, once it has read what it serves."""
    server = subprocess.Popen([program, str(folder), "--port", "0"], stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        if line.startswith("serving on "):
            return server, line.split()[-1]
    raise SystemExit(f"{program} ended with {server.wait()}")


def run(command, environment, folder):
    """Wall and CPU seconds of a command. What ran before leaves nothing to be done."""
    os.sync()
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    complaint = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}: {complaint.strip()}")
    return {"seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime}


def pull_commands(arguments, scratch, url):
    """What is compared, wasmlx first: a name, a command, its environment."""
    addresses = [[f"{url}/{MODEL}/resolve/main/{name}", "-o", name] for name in FILES]
    addresses = [word for address in addresses for word in address]
    yield "wasmlx", [arguments.wasmlx, "pull", MODEL], {"WASMLX_HOME": str(scratch), "HF_ENDPOINT": url}
    yield "curl", ["curl", "-sSfL", *addresses], {}
    yield "curl --parallel", ["curl", "-sSfLZ", *addresses], {}
    if arguments.hf:
        yield "hf", [arguments.hf, "download", MODEL], {"HF_HOME": str(scratch), "HF_ENDPOINT": url}


def hash_commands(ours, home, model):
    """The same for what only reads."""
    files = [str(model / name) for name in FILES]
    yield "wasmlx", ours, {"WASMLX_HOME": str(home)}
    yield "sha256sum", ["sha256sum", *files], {}
    yield "openssl", ["openssl", "dgst", "-sha256", *files], {}


def compare(commands, rounds, scratch):
    """Seconds by name, a list of rounds each, in which each command finds an empty folder."""
    times = {}
    for _ in range(rounds):
        for name, command, environment in commands:
            scratch.mkdir()
            times.setdefault(name, []).append(run(command, environment, scratch))
            shutil.rmtree(scratch)
    return times


def summary(times):
    ours = times["wasmlx"]
    median = lambda name, key: statistics.median(one[key] for one in times[name])
    return {
        name: {
            "seconds": median(name, "seconds"),
            "cpu_seconds": median(name, "cpu_seconds"),
            "ratio": statistics.median(one["seconds"] / own["seconds"] for one, own in zip(theirs, ours)),
        }
        for name, theirs in times.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wasmlx", required=True, type=os.path.abspath)
    parser.add_argument("--hub-server", required=True, type=os.path.abspath)
    parser.add_argument("--hf", type=os.path.abspath)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="of the file system to measure on")
    parser.add_argument("--only", choices=["pull", "verify", "import"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        folder = Path(folder).resolve()
        hub, home, scratch = folder / "hub", folder / "home", folder / "scratch"
        model = hub / MODEL
        make_model(model, int(arguments.gigabytes * 1e9))
        wanted = lambda what: arguments.only in (None, what)
        results = {}
        if wanted("pull"):
            server, url = start_hub(arguments.hub_server, hub)
            try:
                commands = list(pull_commands(arguments, scratch, url))
                results["pull"] = compare(commands, arguments.rounds, scratch)
            finally:
                server.kill()
                server.wait()
        store_import = [arguments.wasmlx, "store", "import", str(model)]
        if wanted("verify"):
            home.mkdir()
            run(store_import, {"WASMLX_HOME": str(home)}, folder)
            commands = list(hash_commands([arguments.wasmlx, "store", "verify"], home, model))
            results["verify"] = compare(commands, arguments.rounds, scratch)
        if wanted("import"):
            commands = list(hash_commands(store_import, scratch, model))
            results["import"] = compare(commands, arguments.rounds, scratch)

    if arguments.json:
        print(json.dumps({"gigabytes": arguments.gigabytes, "rounds": results}))
        return
    for what, times in results.items():
        print(f"{what} of {arguments.gigabytes} GB, medians of {arguments.rounds} rounds")
        for name, row in summary(times).items():
            ratio = "" if name == "wasmlx" else f"   ratio {row['ratio']:.2f}"
            print(f"  {name:16} {row['seconds']:6.2f} s {row['cpu_seconds']:6.2f} s of CPU{ratio}")


if __name__ == "__main__":
    main()
