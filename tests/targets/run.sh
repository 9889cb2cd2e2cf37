#!/usr/bin/env bash
# Builds the core for another target and runs it here. `run.sh help` says how.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'TEXT'
usage: run.sh TARGET [BLOB SCAN]...
       run.sh bench aarch64|x86-64

  Compares every kernel set of the target with the naive one on random operators, then repeats the scan of a slice or
  a volume stored in each SCAN (.kscan) with the model BLOB (.kscout); status 0 only if all agree and the digests are the host's.

  TARGET is aarch64 (64-bit Arm Linux, in QEMU's user mode) or wasm32 (WebAssembly, in Node.js).

  bench prints what operators cost with every kernel set, a line each: instructions on aarch64, which a plugin of QEMU counts,
  and nanoseconds on x86-64, the best of many times, for which the machine must be an x86-64 one.

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

# arm BINARY ARGUMENTS: builds and runs it in QEMU, with the options in EMULATED.
arm() {
    have qemu-aarch64 || need_packages qemu-user
    have aarch64-linux-gnu-gcc || need_packages gcc-aarch64-linux-gnu
    [ -f /usr/aarch64-linux-gnu/lib/crt1.o ] || need_packages libc6-dev-arm64-cross
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    build aarch64-unknown-linux-gnu --bin "$1"
    qemu-aarch64 "${EMULATED[@]}" -cpu max -L /usr/aarch64-linux-gnu "$BUILT/$1" "${@:2}"
}

aarch64() {
    local EMULATED=()
    arm kscout-targets "$@"
}

bench() {
    case ${1:-} in
        aarch64) count ;;
        x86-64)
            build x86_64-unknown-linux-gnu --bin kscout-costs
            "$BUILT/kscout-costs" time
            ;;
        *) wrong "bench knows aarch64 and x86-64" ;;
    esac
}

# Instructions on emulated 64-bit Arm, in the words of firmware-demo/run.sh bench.
count() {
    have cc || need_packages gcc libc6-dev
    have qemu-aarch64 || need_packages qemu-user
    # See count.c.
    local interface=1
    [ "$(qemu-aarch64 --version | sed -n 's/^qemu-aarch64 version \([0-9]*\).*/\1/p')" -lt 9 ] || interface=2
    local folder=${CARGO_TARGET_DIR:-$HERE/target} EMULATED
    mkdir -p "$folder"
    cc -O2 -Wall -Wextra -shared -fPIC -DINTERFACE=$interface -o "$folder/count.so" "$HERE/count.c"
    EMULATED=(-plugin "$folder/count.so")
    arm kscout-costs count | awk '{
        per = sprintf("instr=%d instr_per_%s=%.3f", $NF, $(NF - 2), $NF / $(NF - 1))
        which = $(NF - 4) " " $(NF - 3)
        NF -= 5
        print $0, per, which
    }'
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
        bench) bench "$@"; return ;;
        help | -h | --help) usage; return ;;
        *) usage >&2; wrong "unknown target $target" ;;
    esac
    [ $(($# % 2)) = 0 ] || wrong "a model without a scan"
    for file in "$@"; do
        [ -f "$file" ] || wrong "no file $file"
    done
    "$target" "$@"
}

main "$@"
