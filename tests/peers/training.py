#!/usr/bin/env python3
"""How long a training step takes: kscout beside PyTorch, in turns, on the same cores.

    ./test.sh --peers
    out/peers/bin/python tests/peers/training.py --only unext --turns 9    # again, other turns

The networks are kscout's, 128x128, four classes, cross-entropy + Dice, AdamW. PyTorch steps in f32 in both memory layouts, NCHW and
channels last, and takes its batches from arrays that are ready; kscout makes its own, with augmentation, phase, noise and masks,
while it steps. Each turn is a process of its own; a turn's time is the median of its steps, and the table has the median of the
turns. Exits with 1 where a ratio misses the bar (--bar)."""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    ("UNeXt-S", "unext-s", 0, 16),
    ("UNeXt", "unext", 0, 16),
    ("U-Net of width 16", "unet", 16, 16),
    ("U-Net of width 16", "unet", 16, 8),
    ("U-Net, bilinear, of width 16", "unet-bilinear", 16, 16),
]
SIZE = 128
CLASSES = 4


def main():
    options = arguments()
    if options.turn:
        print(json.dumps(torch_turn(**json.loads(options.turn))))
        return
    missed = False
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        subprocess.run([options.kscout, "data", "phantom", data, "--patients", "12"], check=True, stdout=subprocess.DEVNULL)
        print(f"{options.threads} threads, {options.turns} turns of {options.steps} steps, seconds a step (peak memory in MB)\n")
        heads = ["network, batch", "PyTorch, NCHW", "PyTorch, channels last"]
        heads += [f"kscout, {precision}" for precision in options.precisions] + ["ratio to the better"]
        print("| " + " | ".join(heads) + " |\n|---" + "|--:" * (len(heads) - 1) + "|", flush=True)
        for row in ROWS:
            if options.only and options.only not in row[1]:
                continue
            missed |= measure(row, options, Path(scratch), data)
    sys.exit(1 if missed else 0)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kscout", type=Path, default=ROOT / "target/release/kscout")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of either (all cores)")
    parser.add_argument("--turns", type=int, default=5, help="turns of each contender (5)")
    parser.add_argument("--steps", type=int, default=20, help="steps of a turn (20)")
    parser.add_argument("--precisions", nargs="+", default=["f32", "bf16"], help="of kscout (f32 bf16)")
    parser.add_argument("--only", help="rows whose network's name has this in it")
    parser.add_argument("--bar", type=float, default=1.5, help="largest ratio of kscout's faster precision to PyTorch's better layout (1.5)")
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(row, options, scratch, data) -> bool:
    """Prints a row of the table; returns whether it misses the bar."""
    label, network, width, batch = row
    contenders = {
        layout: lambda layout=layout: torch_process(network, width, batch, layout == "channels last", options)
        for layout in ("NCHW", "channels last")
    }
    contenders |= {
        precision: lambda precision=precision: kscout_process(network, width, batch, precision, options, scratch, data)
        for precision in options.precisions
    }
    turns = {name: [] for name in contenders}
    for _ in range(options.turns):
        for name, turn in contenders.items():
            turns[name].append(turn())
    times = {name: statistics.median(seconds for seconds, _ in found) for name, found in turns.items()}
    memory = {name: max(peak for _, peak in found) for name, found in turns.items()}
    better = min(times["NCHW"], times["channels last"])
    ratios = {precision: times[precision] / better for precision in options.precisions}
    cells = [f"{times[name]:.3f} ({memory[name]:.0f})" for name in contenders]
    cells.append(", ".join(f"{ratio:.2f}" for ratio in ratios.values()))
    print(f"| {label}, {batch} | " + " | ".join(cells) + " |", flush=True)
    return min(ratios.values()) > options.bar


def run(command, environment) -> tuple[str, float]:
    """What a process printed, and its peak memory in MB."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment)
    printed, complaints = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed:\n{printed}{complaints}")
    return printed, usage.ru_maxrss / 1024


def kscout_process(network, width, batch, precision, options, scratch, data):
    keys = {"network": f'"{network}"', "network_width": width, "batch": batch, "precision": f'"{precision}"'}
    keys |= {"steps": options.steps, "max_minutes": 0.0, "validate_every": options.steps, "validate_lines": [8]}
    sets = [part for key, value in keys.items() for part in ("--set", f"{key}={value}")]
    out = scratch / "run"
    command = [options.kscout, "train", "reward", "--data", data, "--out", out, "--threads", str(options.threads), *sets]
    printed, peak = run([str(part) for part in command], {})
    subprocess.run(["rm", "-r", out], check=True)
    return float(re.search(r"steps, ([0-9.]+) s each", printed)[1]), peak


def torch_process(network, width, batch, channels_last, options):
    turn = {"network": network, "width": width, "batch": batch, "channels_last": channels_last}
    turn |= {"threads": options.threads, "steps": options.steps}
    printed, peak = run([sys.executable, __file__, "--turn", json.dumps(turn)], {"OMP_NUM_THREADS": str(options.threads)})
    return json.loads(printed), peak


def torch_turn(network, width, batch, channels_last, threads, steps) -> float:
    """Seconds of a step of PyTorch: the median, after two steps that warm up."""
    import time

    import numpy as np
    import torch

    import networks

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = networks.make(network, width, CLASSES)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    draw = np.random.default_rng(1)
    images = torch.from_numpy(draw.standard_normal((4 * batch, 1, SIZE, SIZE), dtype=np.float32))
    labels = torch.from_numpy(draw.integers(0, CLASSES, (4 * batch, SIZE, SIZE)))
    seconds = []
    for _ in range(steps + 2):
        begun = time.perf_counter()
        chosen = torch.from_numpy(draw.permutation(4 * batch)[:batch])
        x, y = images[chosen], labels[chosen]
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        loss = networks.loss(model(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[2:])


if __name__ == "__main__":
    main()
