#!/usr/bin/env bash
# Checks everything: format, lints, docs, tests of all crates, and the firmware in emulated Cortex-M4F, M33 and M55.
# Needs Rust (rustup) and a C linker. Installs, where they are missing: clippy and rustfmt (rustup), the targets
# thumbv7em-none-eabihf and thumbv8m.main-none-eabihf (rustup, or Debian's rustc-web cargo-web rust-web-src), QEMU
# (Debian's qemu-system-arm).
# Root is needed only to install a missing Debian package. KSCOUT_GOLDEN names another folder of golden vectors.
set -euo pipefail
cd "$(dirname "$0")"

cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt

cargo fmt --all --check
cargo fmt --manifest-path firmware-demo/Cargo.toml --check
cargo clippy --workspace --all-targets --release --locked -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --release --locked
# The core once more with overflow checks on.
cargo test -p kscout-core --locked
KSCOUT_FIRMWARE=required cargo test --workspace --release --locked
