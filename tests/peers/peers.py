#!/usr/bin/env python3
"""The segmenter of .kscout files in other runtimes: the same values, and how long each takes.

    python -m venv out/peers && out/peers/bin/pip install -r tests/peers/requirements.txt
    cargo build --release -p kscout
    cargo build --release --manifest-path tests/peers/tract/Cargo.toml     # optional
    out/peers/bin/python tests/peers/peers.py --data data/acdc128 heart.kscout

For each file it exports ONNX with both roundings and makes an f32 form of it, compares logits with the core's int8 ones, and times
all contenders in turns, on one thread and one image. A round is one turn of each; the table has the median of the rounds' medians.
Exits with 1 where a network rounded `twice` misses a bar: at most one step apart in 99.9 % of logits, the same class in 99.9 % of
pixels."""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

import forms
import images as pictures
from runtimes import Kscout, OnnxRuntime, Tract

ROOT = Path(__file__).resolve().parents[2]
WITHIN_ONE_STEP = 0.999
SAME_CLASS = 0.999


def main():
    options = arguments()
    missed = []
    for blob in options.blobs:
        with tempfile.TemporaryDirectory() as scratch:
            missed += measure(blob, options, Path(scratch))
    for line in missed:
        print(f"missed: {line}")
    sys.exit(1 if missed else 0)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("blobs", nargs="+", type=Path, metavar="FILE.kscout")
    parser.add_argument("--data", type=Path, help="data set of the networks' size; without it, phantoms are made")
    parser.add_argument("--images", type=int, default=20, help="images to compare on (20)")
    parser.add_argument("--seed", type=int, default=1, help="seed of their choice (1)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender (9); 0 compares values alone")
    parser.add_argument("--turn-ms", type=float, default=300, help="about how long a turn takes (300)")
    parser.add_argument("--kscout", type=Path, default=ROOT / "target/release/kscout")
    parser.add_argument("--tract", type=Path, default=ROOT / "tests/peers/tract/target/release/kscout-peer-tract")
    parser.add_argument("--json", type=Path, help="write the numbers here, too")
    return parser.parse_args()


def measure(blob: Path, options, scratch: Path) -> list[str]:
    """Prints a file's two tables; returns what misses a bar."""
    files = export(options.kscout, blob, scratch)
    model = onnx.load(files["once"])
    side = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    meta = {entry.key: entry.value for entry in model.metadata_props}
    images = pictures.of_data_set(data(options, side, scratch), side, options.images, options.seed)
    core = Kscout(options.kscout, blob, images, scratch)
    contenders = {f"ONNX Runtime {form}": OnnxRuntime(file, images) for form, file in files.items()}
    if options.tract.exists():
        contenders |= {f"tract {form}": Tract(options.tract, file, images) for form, file in files.items()}
    else:
        print(f"{options.tract}: not built, tract is left out")

    print(f"\n{blob}: {meta['provenance']}\n{len(images)} images of {side}x{side}")
    print(f"{'':22}{'equal':>10}{'1 step':>10}{'class':>10}   differences in steps: logits")
    expected, step = core.logits(), float(meta["output_scale"])
    values = {name: agreement(it.logits(), expected, step) for name, it in contenders.items()}
    for name, found in values.items():
        print(f"{name:22}{found['equal']:10.3%}{found['within_one']:10.3%}{found['class']:10.3%}   {found['steps']}")

    times = race({"kscout": core} | contenders, options) if options.rounds else {}
    if times:
        print(f"{'':22}{'median ms':>10}{'kscout / it':>13}")
    for name, ms in times.items():
        print(f"{name:22}{ms:10.3f}{times['kscout'] / ms:13.2f}")
    for it in contenders.values():
        it.close()
    if options.json:
        with options.json.open("a") as file:
            print(json.dumps({"file": str(blob), "values": values, "ms": times}), file=file)
    return misses(blob, values)


def export(kscout: Path, blob: Path, scratch: Path) -> dict[str, Path]:
    """The network's ONNX files."""
    files = {form: scratch / f"{form}.onnx" for form in ("f32", "once", "twice")}
    for form in ("once", "twice"):
        command = [kscout, "export", "--from", blob, "--onnx", files[form], "--onnx-rounding", form]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    onnx.save(forms.in_f32(onnx.load(files["once"])), files["f32"])
    return files


def data(options, side: int, scratch: Path) -> Path:
    if options.data:
        return options.data
    folder = scratch / "phantom"
    command = [options.kscout, "data", "phantom", folder, "--patients", "5", "--seed", "1", "--size", str(side)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def agreement(logits: np.ndarray, expected: np.ndarray, step: float) -> dict:
    """How near logits are to the core's, in steps of its output."""
    apart = np.abs(np.rint(logits / step) - np.rint(expected / step)).astype(int)
    counts = {int(steps): int(np.sum(apart == steps)) for steps in np.unique(apart)}
    return {
        "equal": float(np.mean(apart == 0)),
        "within_one": float(np.mean(apart <= 1)),
        "class": float(np.mean(logits.argmax(1) == expected.argmax(1))),
        "steps": counts if len(counts) <= 8 else f"up to {max(counts)}",
    }


def race(contenders: dict, options) -> dict[str, float]:
    """The median time of each, taking turns."""
    runs = {}
    for name, it in contenders.items():
        it.median_ms(2)
        runs[name] = max(3, min(100, round(options.turn_ms / it.median_ms(3))))
    rounds = [{name: it.median_ms(runs[name]) for name, it in contenders.items()} for _ in range(options.rounds)]
    return {name: statistics.median(turn[name] for turn in rounds) for name in contenders}


def misses(blob: Path, values: dict) -> list[str]:
    found = []
    for name, value in values.items():
        if name.endswith(" twice") and (value["within_one"] < WITHIN_ONE_STEP or value["class"] < SAME_CLASS):
            found.append(f"{blob.name}, {name}: {value['within_one']:.3%} of logits, {value['class']:.3%} of pixels")
    return found


if __name__ == "__main__":
    main()
