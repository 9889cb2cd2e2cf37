#!/usr/bin/env bash
# Checks everything: format, lints, docs, tests of all crates, the firmware in emulated Cortex-M4F, M33 and M55,
# and the core on 64-bit Arm and WebAssembly.
# Needs Rust (rustup) and a C linker. Installs, where they are missing: clippy and rustfmt (rustup), the targets
# thumbv7em-none-eabihf and thumbv8m.main-none-eabihf (rustup, or Debian's rustc-web cargo-web rust-web-src),
# aarch64-unknown-linux-gnu and wasm32-unknown-unknown (rustup), and of Debian's packages qemu-system-arm, qemu-user,
# gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and nodejs.
# Root is needed only to install a missing Debian package. KSCOUT_GOLDEN names another folder of golden vectors.
#     ./test.sh --gpu      instead: training and evaluation on a GPU beside the CPU, for which it installs Debian's
#                          mesa-vulkan-drivers where there is no Vulkan; and whether the build for NVIDIA's GPUs compiles
#     ./test.sh --peers    instead: how long a training step takes beside PyTorch, which it installs into out/peers (5 GB)
set -euo pipefail
cd "$(dirname "$0")"

if [ "${1:-}" = --peers ]; then
    [ -d out/peers ] || python3 -m venv out/peers
    out/peers/bin/pip install --quiet -r tests/peers/training.txt
    cargo build --release --locked -p kscout
    exec out/peers/bin/python tests/peers/training.py
fi
if [ "${1:-}" = --gpu ]; then
    exec tests/gpu/run.sh
fi
[ $# = 0 ] || { echo "test.sh: $1: expected --gpu, --peers or nothing" >&2 && exit 2; }

cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt

cargo fmt --all --check
cargo fmt --manifest-path firmware-demo/Cargo.toml --check
cargo fmt --manifest-path tests/targets/Cargo.toml --check
cargo fmt --manifest-path tests/peers/tract/Cargo.toml --check
cargo fmt --manifest-path fuzz/Cargo.toml --check
cargo clippy --workspace --all-targets --release --locked -- -D warnings
cargo clippy --manifest-path tests/targets/Cargo.toml --all-targets --release --locked -- -D warnings
# The library without training: burn is no part of it. For WebAssembly, see below.
cargo clippy -p kscout --no-default-features --all-targets --release --locked -- -D warnings
without_training=$(cargo tree -p kscout --no-default-features --edges normal --prefix none --locked)
[[ $without_training != *burn* ]] || { echo "kscout needs burn without its feature train" >&2 && exit 1; }
# What would be published is complete.
cargo package -p kscout-core -p kscout --locked --allow-dirty --no-verify --quiet
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --release --locked
# The core once more with overflow checks on.
cargo test -p kscout-core --locked
KSCOUT_FIRMWARE=required cargo test --workspace --release --locked
# So are the kernels of emulated targets, and with the standard library's checks of what unsafe code hands it.
checked() {
    CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true \
        CARGO_TARGET_DIR=$PWD/target/checked "$@"
}
checked tests/targets/run.sh aarch64
checked firmware-demo/run.sh agreement m4
checked firmware-demo/run.sh agreement m55
# The tests have added these targets.
cargo clippy --manifest-path tests/targets/Cargo.toml --all-targets --release --locked --target aarch64-unknown-linux-gnu \
    --target wasm32-unknown-unknown -- -D warnings
cargo clippy -p kscout --no-default-features --release --locked --target wasm32-unknown-unknown -- -D warnings
# The kernels of the other targets, those of Cortex-M where rustup has the target.
cargo clippy -p kscout-core --features defmt --release --locked -- -D warnings
lint_core() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ] || { echo "rustup has no target $1: its kernels are not linted" && return; }
    RUSTFLAGS=$2 cargo clippy -p kscout-core --features agreement --release --locked --target "$1" -- -D warnings
}
lint_core aarch64-unknown-linux-gnu ""
lint_core thumbv7em-none-eabihf "-C target-cpu=cortex-m4"
lint_core thumbv8m.main-none-eabihf "-C target-feature=+mve,+lob"
