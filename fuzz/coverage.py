"""Lines of a reader's sources that were reached: coverage.py READER FUNCTIONS.json LINES.info [-v], as llvm-cov exports them.

Counted are the lines with code of the files below, but for those of the functions that OTHERS names.
"""

import json
import re
import sys

CORE, HOST = "core-nostd/src/", "host-train/src/"
# Whose sources are a reader's own; decoders of others (zlib, PNG, CSV, JSON, TOML, zip, pickles' tensors) are not counted.
READERS = {
    "blob": [CORE + "model/" + name for name in ("axes", "blob", "bytes", "check", "graph", "reconstruction", "record", "repr")],
    "capture": [CORE + "capture/" + name for name in ("bytes", "mod", "slice", "volume")],
    "nifti": [HOST + "data/nifti_volume/" + name for name in ("geometry", "header", "mod", "stream", "voxels")],
    "png": [HOST + "data/png_file"],
    "weights": [
        HOST + "net/import/" + name
        for name in ("apply", "archive", "format", "globals", "names", "pickle", "segmenters", "state_dict")
    ],
    "checkpoint": [HOST + "train/checkpoint/" + name for name in ("identity", "meta", "mod", "sound")],
    "config": [HOST + "config/" + name for name in ("given", "key", "mod", "nearest")],
    "csv": [HOST + "data/labels", HOST + "train/given", HOST + "cli/compare/read"],
    "json": [HOST + "orders/mask_file", HOST + "volume/position", HOST + "data/manifest"],
    "npy": [HOST + "cli/net/npy", HOST + "cli/net/npy_header"],
    "info": [HOST + "data/info_cfg"],
}
# Functions in these files that read nothing: they write or show, make what is read for, or work with what has been read.
OTHERS = {
    "blob": "emit emit_operator emit_requant Writer too_large fmt from_str weight",
    "capture": "emit emit_header put_body put_samples put_crc put buffer_len",
    "png": "write_image write_label write_grey",
    # Of a checkpoint the description is read; its weights are burn's records.
    "checkpoint": "save save_averaged save_with describe copy_for_use is_checkpoint check_whole load_weights load_noted "
    "load_training_weights load_from load_optimizer load read check_weights Search Weights of of_order get from fmt serialize "
    "untrained imported begun resume expect_same_standing note_protocol expect_reconstruction expect_axes expect_unseen "
    "has_trained_head expect_network expect_same scores_alike note_changes is_same",
    # Bounds of keys, and `--set`.
    "config": "weight share rate seed validate_lines minutes whole real above below or_zero list assignment knows numbers_of",
    "csv": "only case know expect_some of from_groups write of_file Shared files others",
    "json": "continues new write note_conditions lines learn score most plan next share name fmt",
}


def excluded(functions, file, names):
    """The lines of the functions of a file that are called so, or are those of a type called so."""
    lines = set()
    for function in functions:
        if function["filenames"][0].endswith(file):
            # Symbols have each part of a path behind its length.
            if any(re.search(rf"(?<!\d){len(name)}{name}", function["name"]) for name in names):
                own = [region for region in function["regions"] if region[5] == 0]
                lines.update(range(min(region[0] for region in own), max(region[2] for region in own) + 1))
    return lines


def counts(path):
    """Of each file how often each of its lines has run."""
    found, own = {}, {}
    with open(path) as lines:
        for line in lines:
            kind, _, value = line.strip().partition(":")
            if kind == "SF":
                own = found.setdefault(value, {})
            elif kind == "DA":
                number, count = value.split(",")[:2]
                own[int(number)] = int(count)
    return found


def main(reader, functions, lines, *options):
    with open(functions) as file:
        functions = json.load(file)["data"][0]["functions"]
    found = counts(lines)
    ran = total = 0
    for name in READERS[reader]:
        file = name + ".rs"
        own = next(lines for path, lines in found.items() if path.endswith(file))
        without = excluded(functions, file, OTHERS.get(reader, "").split())
        own = {number: count for number, count in own.items() if number not in without}
        missed = sorted(number for number, count in own.items() if count == 0)
        ran, total = ran + len(own) - len(missed), total + len(own)
        if "-v" in options:
            print(f"  {file}: {len(own) - len(missed)} of {len(own)}; not {missed}")
    print(f"{reader}: {ran} of {total} lines, {100 * ran / total:.1f} %")


main(*sys.argv[1:])
