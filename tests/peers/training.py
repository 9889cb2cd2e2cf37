#!/usr/bin/env python3
"""How long a training step takes: kscout beside PyTorch, in turns, on the same cores or the same GPU.

    ./test.sh --peers
    out/peers/bin/python tests/peers/training.py --only unext --turns 9    # again, other turns
    out/peers/bin/python tests/peers/training.py --device cuda --kscout target/release/kscout    # of a build with --features cuda

The networks are kscout's, 128x128, four classes, cross-entropy + Dice, AdamW. PyTorch steps in f32 in both memory layouts, NCHW and
channels last (on a GPU by autocast in bf16 too, 256x256), and takes its batches from arrays that are ready; kscout makes its own, with augmentation, phase, noise and masks,
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
GPU_ROWS = [("U-Net", "unet", 0, 32), ("UNeXt", "unext", 0, 32)]
SIZE, GPU_SIZE = 128, 256
CLASSES = 4
LAYOUTS = ("NCHW", "channels last")


def main():
    options = arguments()
    if options.turn:
        print(json.dumps(torch_turn(**json.loads(options.turn))))
        return
    missed = False
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        make = [options.kscout, "data", "phantom", data, "--patients", "12", "--size", str(options.size)]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        where = f"{options.threads} threads" if options.device == "cpu" else options.device
        print(f"{where}, {options.turns} turns of {options.steps} steps, seconds a step (peak memory in MB)\n")
        heads = ["network, batch", *(f"PyTorch, {layout}, {precision}" for precision in options.torch for layout in LAYOUTS)]
        heads += [f"kscout, {precision}" for precision in options.precisions] + ["ratio to the better"]
        print("| " + " | ".join(heads) + " |\n|---" + "|--:" * (len(heads) - 1) + "|", flush=True)
        for row in options.rows:
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
    parser.add_argument("--device", default="cpu", help="of both: cpu or cuda (cpu)")
    parser.add_argument("--only", help="rows whose network's name has this in it")
    parser.add_argument("--bar", type=float, default=1.5, help="largest ratio of kscout's faster precision to PyTorch's better layout (1.5)")
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    options = parser.parse_args()
    on_cpu = options.device == "cpu"
    options.rows, options.size = (ROWS, SIZE) if on_cpu else (GPU_ROWS, GPU_SIZE)
    # On a CPU the bar is PyTorch's f32, whatever kscout's precision.
    options.torch = ["f32"] if on_cpu else options.precisions
    return options


def measure(row, options, scratch, data) -> bool:
    """Prints a row of the table; returns whether it misses the bar."""
    label, network, width, batch = row
    contenders = {
        (precision, layout): lambda turn=(precision, layout): torch_process(network, width, batch, turn, options)
        for precision in options.torch
        for layout in LAYOUTS
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
    better = {precision: min(times[precision, layout] for layout in LAYOUTS) for precision in options.torch}
    ratios = {precision: times[precision] / better.get(precision, better["f32"]) for precision in options.precisions}
    cells = [f"{times[name]:.3f} ({memory[name]:.0f})" for name in contenders]
    cells.append(", ".join(f"{ratio:.2f}" for ratio in ratios.values()))
    print(f"| {label}, {batch} | " + " | ".join(cells) + " |", flush=True)
    worst = min if options.device == "cpu" else max
    return worst(ratios.values()) > options.bar


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
    command = [options.kscout, "train", "segmenter", "--data", data, "--out", out, "--threads", str(options.threads), *sets]
    command += ["--device", options.device]
    printed, peak = run([str(part) for part in command], {})
    subprocess.run(["rm", "-r", out], check=True)
    return float(re.search(r"steps, ([0-9.]+) s each", printed)[1]), peak


def torch_process(network, width, batch, how, options):
    turn = {"network": network, "width": width, "batch": batch, "how": how, "size": options.size, "device": options.device}
    turn |= {"threads": options.threads, "steps": options.steps}
    printed, peak = run([sys.executable, __file__, "--turn", json.dumps(turn)], {"OMP_NUM_THREADS": str(options.threads)})
    return json.loads(printed), peak


def torch_turn(network, width, batch, how, size, device, threads, steps) -> float:
    """Seconds of a step of PyTorch: the median, after some steps that warm up."""
    import time

    import numpy as np
    import torch

    import networks

    precision, layout = how
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = networks.make(network, width, CLASSES).to(device)
    if layout == "channels last":
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    draw = np.random.default_rng(1)
    images = torch.from_numpy(draw.standard_normal((4 * batch, 1, size, size), dtype=np.float32)).to(device)
    labels = torch.from_numpy(draw.integers(0, CLASSES, (4 * batch, size, size))).to(device)
    warm = 2 if device == "cpu" else 10
    seconds = []
    for _ in range(steps + warm):
        begun = time.perf_counter()
        chosen = torch.from_numpy(draw.permutation(4 * batch)[:batch]).to(device)
        x, y = images[chosen], labels[chosen]
        if layout == "channels last":
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = model(x)
        loss = networks.loss(logits.float(), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[warm:])


if __name__ == "__main__":
    main()
