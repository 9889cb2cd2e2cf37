"""The contenders: what gives logits of images, and what gives times of runs."""

import json
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import onnxruntime


class OnnxRuntime:
    """One thread, all optimisations."""

    def __init__(self, model: Path, images: np.ndarray):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.images = images

    def logits(self) -> np.ndarray:
        return np.concatenate([self.session.run(["logits"], {"image": image[None]})[0] for image in self.images])

    def median_ms(self, runs: int) -> float:
        image = {"image": self.images[:1]}
        times = []
        for _ in range(runs):
            start = time.perf_counter_ns()
            self.session.run(["logits"], image)
            times.append(time.perf_counter_ns() - start)
        return statistics.median(times) / 1e6

    def close(self):
        pass


class Tract:
    """A process of `tests/peers/tract`, which waits to be asked; one thread."""

    def __init__(self, program: Path, model: Path, images: np.ndarray):
        files = [model.with_suffix(suffix) for suffix in (".images", ".logits")]
        images.tofile(files[0])
        command = [program, model, *files]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit(f"tract does not run {model}")
        self.values = np.fromfile(files[1], dtype="<f4").reshape(len(images), -1, *images.shape[2:])

    def logits(self) -> np.ndarray:
        return self.values

    def median_ms(self, runs: int) -> float:
        self.process.stdin.write(f"{runs}\n")
        self.process.stdin.flush()
        return statistics.median(map(int, self.process.stdout.readline().split())) / 1e6

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Kscout:
    """The core, through the command line: `net forward` for logits, `bench` for times on one thread."""

    def __init__(self, program: Path, blob: Path, images: np.ndarray, scratch: Path):
        self.program, self.blob = program, blob
        self.images, self.scratch = images, scratch

    def logits(self) -> np.ndarray:
        files = [self.scratch / name for name in ("images.npy", "logits.npy")]
        np.save(files[0], self.images)
        self.run("net", "forward", "--blob", self.blob, "--input", files[0], "--output", files[1])
        return np.load(files[1])

    def median_ms(self, runs: int) -> float:
        return segmenter_ms(json.loads(self.run("bench", self.blob, "--json", "--runs", str(runs))))

    def run(self, *arguments) -> str:
        return subprocess.run([self.program, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout

    def close(self):
        pass


def segmenter_ms(bench) -> float:
    """The segmenter's median in what `kscout bench --json` prints."""
    return next(time["median_ms"] for time in bench["graphs"] if time["graph"] == "segmenter")
