#!/usr/bin/env bash
# Builds the core for another target and runs it here. `run.sh help` says how.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'TEXT'
usage: run.sh TARGET [BLOB SCAN]...

  Compares every kernel set of the target with the naive one on random operators, then repeats the scan stored in each
  SCAN (.kscan) with the model BLOB (.kscout); status 0 only if all agree and the digests are the host's.

  TARGET is aarch64 (64-bit Arm Linux, in QEMU's user mode) or wasm32 (WebAssembly, in Node.js).

  Status 0: as it should be. 1: it is not, or there is no such target or file. 2: this machine lacks something.
  Others: cargo's.
TEXT
}

. "$HERE/../../firmware-demo/machine.sh"

need_target() {
    have rustc || fail "no rustc: install rustup"
    [ ! -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ] || return 0
    have rustup || fail "rustc has no target $1, and there is no rustup to add it"
    rustup target add "$1" >/dev/null 2>&1 || fail "rustup cannot download the target $1"
    say "added rustup's target $1"
}

# build TARGET OPTIONS: sets BUILT, the folder with what was built.
build() {
    need_target "$1"
    # Flags for the host, such as a processor to tune for, are no good here.
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HERE/target}
    (cd "$HERE" && cargo rustc --quiet --release --locked --target "$1" "${@:2}")
    BUILT=$CARGO_TARGET_DIR/$1/release
}

aarch64() {
    have qemu-aarch64 || need_packages qemu-user
    have aarch64-linux-gnu-gcc || need_packages gcc-aarch64-linux-gnu
    [ -d /usr/aarch64-linux-gnu/lib ] || need_packages libc6-dev-arm64-cross
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    build aarch64-unknown-linux-gnu --bin kscout-targets
    qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu "$BUILT/kscout-targets" "$@"
}

wasm32() {
    have node || need_packages nodejs
    build wasm32-unknown-unknown --lib --crate-type cdylib
    node "$HERE/run.mjs" "$BUILT/kscout_targets.wasm" "$@"
}

main() {
    local target=${1:-help} file
    shift || true
    case $target in
        aarch64 | wasm32) ;;
        help | -h | --help) usage; return ;;
        *) usage >&2; wrong "unknown target $target" ;;
    esac
    [ $(($# % 2)) = 0 ] || wrong "a model without a slice"
    for file in "$@"; do
        [ -f "$file" ] || wrong "no file $file"
    done
    "$target" "$@"
}

main "$@"
