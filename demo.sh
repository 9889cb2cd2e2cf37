#!/usr/bin/env bash
# The main job on synthetic hearts, in OUT (default: out/demo): make data, train a segmenter and a policy briefly,
# compare the policy with fixed patterns, export, verify, and repeat one scan on an emulated Cortex-M4F.
# About 10 minutes on 2 cores after compilation. Needs Rust (rustup) and a C linker; installs what is missing for the
# firmware, as firmware-demo/run.sh says (root only for missing Debian packages).
set -euo pipefail
cd "$(dirname "$0")"
OUT=${1:-out/demo}
if [ -e "$OUT" ]; then
    echo "demo.sh: $OUT is there already; remove it or name another folder: ./demo.sh FOLDER" >&2
    exit 1
fi
step() { printf '\n== %s ==\n' "$*"; }

step "build"
cargo build --release --locked -p kscout
kscout=target/release/kscout

step "data: 40 synthetic patients"
$kscout data phantom "$OUT/data" --patients 40 --seed 1
$kscout data info "$OUT/data"

step "segmenter"
$kscout train reward --config configs/demo-reward.toml --data "$OUT/data" --out "$OUT/reward"

step "policy"
$kscout train policy --config configs/demo-policy.toml --data "$OUT/data" --reward "$OUT/reward" --out "$OUT/policy"

step "export and verify"
$kscout export --reward "$OUT/reward" --policy "$OUT/policy" --data "$OUT/data" --out "$OUT/heart.kscout"
$kscout verify "$OUT/heart.kscout" --reward "$OUT/reward" --policy "$OUT/policy" --data "$OUT/data" --limit 40

step "policy against fixed patterns"
$kscout eval --model "$OUT/heart.kscout" --data "$OUT/data" --out "$OUT/eval"

step "one scan on this machine"
$kscout scan "$OUT/heart.kscout" --data "$OUT/data" --slice patient005/3 --budget 12 \
    --out "$OUT/scan.png" --capture "$OUT/slice.kscan"

step "the same scan on an emulated Cortex-M4F"
firmware-demo/run.sh selftest "$OUT/heart.kscout" "$OUT/slice.kscan"

step "done"
sed '/^Every entry/,$d' "$OUT/eval/report.md"
cat <<END
report    $OUT/eval/report.md
plot      $OUT/eval/dice.png
panels    $(ls "$OUT"/eval/panel_*.png | tr '\n' ' ')
one scan  $OUT/scan.png
model     $OUT/heart.kscout
END
