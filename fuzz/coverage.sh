#!/usr/bin/env bash
# Lines of each reader's sources that a corpus reaches, in per cent: fuzz/coverage.sh [FOLDER] [READER...]
# FOLDER has a folder a reader, as fuzz/corpus, which is the default. Functions that only write, and those that compute with what
# has been read, are not counted: fuzz/coverage.py says which. Needs rustup's component llvm-tools and Python 3.
set -euo pipefail
# Cargo calls this script itself for the crates of this repository: they alone are counted.
case ${1:-} in
*rustc) exec "$@" -C instrument-coverage ;;
esac
cd "$(dirname "$0")/.."
corpus=$(realpath "${1:-fuzz/corpus}")
shift $(($# > 0))
tools=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LLVM_PROFILE_FILE=/dev/null
RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/coverage.sh cargo build --locked -p kscout-tests --example read_corpus
program=${CARGO_TARGET_DIR:-target}/debug/examples/read_corpus
for name in ${*:-$(ls fuzz/corpus)}; do
    LLVM_PROFILE_FILE=$work/$name.profraw "$program" "$name" "$corpus/$name" >&2
    "$tools/llvm-profdata" merge "$work/$name.profraw" -o "$work/$name.profdata"
    "$tools/llvm-cov" export "$program" -instr-profile "$work/$name.profdata" >"$work/functions.json"
    "$tools/llvm-cov" export "$program" -instr-profile "$work/$name.profdata" -format lcov >"$work/lines.info"
    python3 fuzz/coverage.py "$name" "$work/functions.json" "$work/lines.info" ${VERBOSE:+-v}
done
