#!/usr/bin/env bash
# Builds the firmware for a Cortex-M and runs it in QEMU. `run.sh help` says how.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'TEXT'
usage: run.sh COMMAND

  selftest [--core CORE] [BLOB] [SCAN]
                          repeat the scan of a slice or a volume stored in SCAN (.kscan) with the model BLOB (.kscout)
                          in QEMU; status 0 only if the digest is the host's. Says what RAM and flash it takes, against
                          512 and 768 KiB; a scan that needs more RAM gets the board's 4096. Default:
                          KSCOUT_BLOB, KSCOUT_SCAN, then out/model.kscout and out/slice.kscan of the checkout.
  bench [CORE] [BLOB] [SCAN]
                          instructions of operators of many shapes, in QEMU, per multiply-accumulate or element of output,
                          with the core's kernels and the portable ones; then, if there are a model and a slice as for
                          selftest, of a decision (from a line's arrival to the next choice) and a segmentation
  agreement [CORE]        compare the core's kernels with the naive ones on random operators, in QEMU
  nopanic [CORE]          show by linking that no panic can be reached from the scan loop
  size [CORE]             flash and RAM of the scan loop without the self-test's printing

  CORE is m4 (the default), m33 or m55: a Cortex-M4F, a Cortex-M33 with DSP and FPU, a Cortex-M55 with Helium.

  Status 0: as it should be. 1: it is not, or there is no such command or file. 2: this machine lacks something.
  Others: cargo's.

environment
  KSCOUT_TOOLCHAIN        rustup or debian, to use that one rather than the first that works
  KSCOUT_RAM_KIB          RAM that there is, 1 to 4096: what needs more is refused, with its size; by default 512, or
                          4096 for a scan that needs more
  KSCOUT_TIMEOUT          seconds a run in QEMU may take, 900 by default
TEXT
}

. "$HERE/machine.sh"

# Words to put before a command that may take so many seconds.
limit() { ! have timeout || echo "timeout $1"; }

# Sets TARGET, the folder that cargo builds in, and the options that choose the core.
choose_core() {
    local folder=$HERE/target
    case $1 in
        m4) TARGET=thumbv7em-none-eabihf CORE_OPTIONS=() ;;
        m33 | m55)
            TARGET=thumbv8m.main-none-eabihf CORE_OPTIONS=(--config ".cargo/cortex-$1.toml")
            folder=$HERE/target/$1
            ;;
        *) wrong "unknown core $1: expected m4, m33 or m55" ;;
    esac
    RELEASE=${CARGO_TARGET_DIR:-$folder}/$TARGET/release
}

rustup_has_target() {
    have rustc && [ -d "$(rustc --print sysroot)/lib/rustlib/$TARGET/lib" ]
}

# Sets CARGO and BUILD_STD, and what the toolchain needs in the environment. The first that works: a toolchain that has
# the target, one that can download it, Debian's compiler with the library built from source.
find_toolchain() {
    CARGO=cargo
    BUILD_STD=
    # They would replace the flags in .cargo/config.toml.
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
    if [ "${KSCOUT_TOOLCHAIN:-rustup}" = rustup ]; then
        rustup_has_target && return
        if have rustup && $(limit 60) rustup target add "$TARGET" >/dev/null 2>&1 && rustup_has_target; then
            say "added rustup's target $TARGET"
            return
        fi
        [ -z "${KSCOUT_TOOLCHAIN:-}" ] || fail "rustup has no target $TARGET and cannot download it"
    fi
    need_packages rustc-web cargo-web rust-web-src
    find_linker
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    CARGO=/usr/bin/cargo
    BUILD_STD=-Zbuild-std=core
    say "using Debian's $(/usr/bin/rustc --version | cut -d' ' -f1,2), building its core library"
}

# Debian's compiler comes without rust-lld: rustup's, or LLVM's.
find_linker() {
    local linker host
    host=$(/usr/bin/rustc -vV | sed -n 's/^host: //p')
    linker=$(rustc --print sysroot 2>/dev/null || true)/lib/rustlib/$host/bin/rust-lld
    if [ ! -x "$linker" ]; then
        have ld.lld || need_packages lld
        linker=ld.lld
    fi
    export CARGO_TARGET_THUMBV7EM_NONE_EABIHF_LINKER=$linker CARGO_TARGET_THUMBV8M_MAIN_NONE_EABIHF_LINKER=$linker
}

# firmware build|run|rustc BIN [OPTIONS]: cargo, with what the toolchain needs. LIMIT may hold a command to run it under.
firmware() {
    (cd "$HERE" && ${LIMIT:-} "$CARGO" "${CORE_OPTIONS[@]}" "$1" --quiet --release $BUILD_STD --bin "${@:2}")
}

# Path of a built binary.
binary() {
    echo "$RELEASE/$1"
}

selftest() {
    local core=m4
    if [ "${1:-}" = --core ]; then
        core=${2:-}
        shift $(($# < 2 ? 1 : 2))
    fi
    choose_core "$core"
    embed "$@"
    [ -f "$KSCOUT_BLOB" ] || wrong "no model at $KSCOUT_BLOB: export one, and give its path"
    [ -f "$KSCOUT_SCAN" ] || wrong "no captured scan at $KSCOUT_SCAN: write one with kscout scan --capture, and give its path"
    find_toolchain
    emulate selftest
}

# embed [BLOB] [SCAN]: sets the files that build.rs embeds.
embed() {
    local blob=${1:-${KSCOUT_BLOB:-$HERE/../out/model.kscout}} scan=${2:-${KSCOUT_SCAN:-$HERE/../out/slice.kscan}}
    # A missing file keeps the name it was given by.
    KSCOUT_BLOB=$(realpath -e "$blob" 2>/dev/null || echo "$blob")
    KSCOUT_SCAN=$(realpath -e "$scan" 2>/dev/null || echo "$scan")
    export KSCOUT_BLOB KSCOUT_SCAN
}

bench() {
    choose_core "${1:-m4}"
    shift $(($# > 0 ? 1 : 0))
    find_toolchain
    emulate bench
    embed "$@"
    if [ ! -f "$KSCOUT_BLOB" ] || [ ! -f "$KSCOUT_SCAN" ]; then
        say "no model and slice: no decision, no segmentation"
        return
    fi
    emulate selftest | awk '
        /^scan of/ { size = $3 "x" $6 }
        /^  segmentation/ { sub(",", "", $2); segmentation = " instr=" $2 " instr_per_mac=" $3 }
        /^  line to line/ { print "decision " size " instr=" $4; print "segmentation " size segmentation }'
}

# emulate BIN: builds it and runs it in QEMU, with the options that .cargo/config.toml keeps. Its status is the program's.
emulate() {
    have qemu-system-arm || need_packages qemu-system-arm
    firmware build "$1"
    local status=0 seconds=${KSCOUT_TIMEOUT:-900} LIMIT
    LIMIT=$(limit "$seconds")
    firmware run "$1" || status=$?
    [ "$status" != 124 ] || say "stopped after $seconds s"
    return "$status"
}

nopanic() {
    local log status=0
    log=$(firmware build linkcheck --features no-panic 2>&1) || status=$?
    if [ "$status" != 0 ]; then
        if ! grep -q kscout_panic_reachable <<<"$log"; then
            echo "$log" >&2
            wrong "the build failed, but not because of a panic"
        fi
        echo "a panic can be reached, at:"
        panic_sites
        return 1
    fi
    if log=$(firmware build linkcheck --features panic-probe 2>&1) || ! grep -q kscout_panic_reachable <<<"$log"; then
        wrong "the check itself does not work: it did not see a panic made on purpose"
    fi
    echo "no panic can be reached from the scan loop (and one made on purpose is seen)"
}

# Prints where the panics are that can be reached, from the assembly of the program that did not link.
panic_sites() {
    local listing
    firmware rustc linkcheck --features no-panic -- --emit=asm >/dev/null 2>&1 || true
    listing=$(ls -t "$(dirname "$(binary linkcheck)")"/deps/linkcheck-*.s 2>/dev/null | head -n 1)
    [ -n "$listing" ] || wrong "no assembly was written"
    awk -f "$HERE/panic_sites.awk" "$listing" | sort -u
}

size_of_loop() {
    have size || need_packages binutils
    firmware build linkcheck
    size -A "$(binary linkcheck)" | grep -E '^(section|\.vector_table|\.text|\.rodata|\.data|\.bss)'
    echo "(.bss holds an arena of 384 KiB that stands for any model's)"
}

main() {
    local command=${1:-help}
    shift || true
    case $command in
        selftest) selftest "$@" ;;
        bench) bench "$@" ;;
        agreement) choose_core "${1:-m4}"; find_toolchain; emulate agreement ;;
        nopanic) choose_core "${1:-m4}"; find_toolchain; nopanic ;;
        size) choose_core "${1:-m4}"; find_toolchain; size_of_loop ;;
        help | -h | --help) usage ;;
        *) usage >&2; wrong "unknown command $command" ;;
    esac
}

main "$@"
