#!/usr/bin/env bash
# ./test.sh --gpu: training and evaluation on a GPU beside the CPU, and a check that the build for NVIDIA's GPUs compiles. Where there
# is no GPU, Mesa's program on the processor takes its place. In a target folder of its own, target/gpu: the graphics stack takes ten
# minutes to build on 2 cores.
# KSCOUT_GPU names the device (webgpu), such as webgpu:1.
# KSCOUT_CUBECL_LLVM names a folder with a stand-in for the crate cubecl-llvm, for machines that cannot download the LLVM that it
# brings; a folder cubecl-llvm-stub in ../shared/tools is taken by itself. Without one that build is checked only where
# KSCOUT_CUDA=required says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CARGO_TARGET_DIR=$PWD/target/gpu
# Without it the graphics stack complains of the window system that there is none.
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}

has_vulkan() {
    grep -q 'libvulkan\.so\.1' <<<"$(ldconfig -p)" && compgen -G '/usr/share/vulkan/icd.d/*.json' || compgen -G '/etc/vulkan/icd.d/*.json'
}
if [ "$(uname)" = Linux ] && ! has_vulkan >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "test.sh --gpu: no Vulkan here; install the loader and a driver: apt-get install libvulkan1 mesa-vulkan-drivers" >&2
        exit 1
    fi
    apt-get update -qq && apt-get install -y -qq libvulkan1 mesa-vulkan-drivers >/dev/null
fi
cargo test --release --locked -p kscout-tests --features gpu --test gpu -- --nocapture --test-threads 1

stand_in=${KSCOUT_CUBECL_LLVM:-../shared/tools/cubecl-llvm-stub}
if [ ! -d "$stand_in" ] && [ "${KSCOUT_CUDA:-}" = required ]; then
    exec cargo check --release --locked -p kscout --features cuda
elif [ ! -d "$stand_in" ]; then
    echo "not checked: the build for NVIDIA's GPUs, which downloads LLVM; KSCOUT_CUDA=required checks it" >&2
    exit
fi
# A stand-in changes the lock file: a copy of the sources is checked.
copy=$CARGO_TARGET_DIR/cuda-sources
rm -rf "$copy"
mkdir -p "$copy"
cp -r Cargo.toml Cargo.lock core-nostd host-train tests configs "$copy"
stand_in=$(realpath "$stand_in")
cd "$copy"
cargo check --release -p kscout --features cuda-nvrtc --config "patch.crates-io.cubecl-llvm.path=\"$stand_in\""
