#!/usr/bin/env bash
# The main job on synthetic hearts, in FOLDER (default: out/demo): make data, train a segmenter, learn an order of lines and a
# policy that shares lines among the slices of a heart, compare it with fixed patterns on hearts that it has not seen, export,
# verify, draw a whole heart, and repeat its scan on an emulated Cortex-M4F.
# 6 to 7 minutes on 2 cores after compilation. Needs Rust (rustup) and a C linker; installs what is missing for the
# firmware, as firmware-demo/run.sh says (root only for missing Debian packages).
#     ./demo.sh [FOLDER] [SEED]    SEED (default 1): of the hearts and of all training
set -euo pipefail
cd "$(dirname "$0")"
OUT=${1:-out/demo}
SEED=${2:-1}
if [ -e "$OUT" ]; then
    echo "demo.sh: $OUT is there already; remove it or name another folder: ./demo.sh FOLDER" >&2
    exit 1
fi
begun=$SECONDS
step() { printf '\n== %s (%d min %02d s) ==\n' "$1" $(((SECONDS - begun) / 60)) $(((SECONDS - begun) % 60)); }
say() { printf '%s\n' "$@"; }
BUDGETS=6,8,12

step "building kscout: ten minutes the first time"
cargo build --release --locked -p kscout
kscout=target/release/kscout
begun=$SECONDS

step "data: 150 synthetic patients, 120 to learn from and 30 to compare on"
$kscout data phantom "$OUT/data" --patients 150 --seed "$SEED"
$kscout data info "$OUT/data"

step "a segmenter, which finds the heart in images of few lines"
$kscout train segmenter --config configs/demo-segmenter.toml --set seed="$SEED" --data "$OUT/data" --out "$OUT/first"
$kscout export --segmenter "$OUT/first/last" --data "$OUT/data" --target x86-64 --out "$OUT/first.kscout"

step "an order of lines: at each step the line that helps the segmenter most"
$kscout train mask --model "$OUT/first.kscout" --data "$OUT/data" --out "$OUT/mask.json" --seed "$SEED" \
    --volumes 20 --candidates 32 --budget 16 --reorder

step "a first policy, which says which slice of a heart the next line should go to"
$kscout train slice-policy --config configs/demo-slices.toml --set seed="$SEED" --set updates=0 --reward-model "$OUT/first/last" \
    --mask "$OUT/mask.json" --data "$OUT/data" --out "$OUT/first-policy"
$kscout export --segmenter "$OUT/first/last" --slice-policy "$OUT/first-policy/last" --data "$OUT/data" --target x86-64 \
    --out "$OUT/first-policy.kscout"

step "the segmenter once more, tuned to the lines that each of the methods measures: all methods share it"
masks() { # NAME FILE.kscout [OPTIONS]
    $kscout masks --model "$2" --data "$OUT/data" --out "$OUT/masks-$1.csv" --budgets "$BUDGETS" "${@:3}"
    tuned+=(--masks "$OUT/masks-$1.csv")
}
tuned=()
masks policy "$OUT/first-policy.kscout"
masks by-position "$OUT/first.kscout" --by-baseline --baselines by-position --positions "$OUT/first-policy/positions.json"
masks learned-mask "$OUT/first.kscout" --by-baseline --baselines learned-mask --mask "$OUT/mask.json"
masks centre-out "$OUT/first.kscout" --by-baseline --baselines centre-out
masks partial-fourier "$OUT/first.kscout" --by-baseline --baselines partial-fourier
$kscout train segmenter --config configs/demo-tune.toml --set seed="$SEED" --init "$OUT/first/last" "${tuned[@]}" \
    --data "$OUT/data" --out "$OUT/segmenter"

step "the policy, for the tuned segmenter"
$kscout train slice-policy --config configs/demo-slices.toml --set seed="$SEED" --reward-model "$OUT/segmenter/last" \
    --mask "$OUT/mask.json" --data "$OUT/data" --out "$OUT/policy"

step "one int8 file with both, checked against the networks that it was made from"
$kscout export --segmenter "$OUT/segmenter/last" --slice-policy "$OUT/policy/last" --data "$OUT/data" --out "$OUT/heart.kscout"
$kscout verify "$OUT/heart.kscout" --segmenter "$OUT/segmenter/last" --slice-policy "$OUT/policy/last" --data "$OUT/data" \
    --budgets "$BUDGETS" --limit 100

step "the policy against fixed patterns, on the 30 patients that nothing was trained on"
$kscout eval --model "$OUT/heart.kscout" --data "$OUT/data" --out "$OUT/eval" --budgets "$BUDGETS" --mask "$OUT/mask.json" \
    --positions "$OUT/policy/positions.json" --baselines centre-out,by-position,learned-mask,partial-fourier

step "a whole heart"
$kscout scan "$OUT/heart.kscout" --data "$OUT/data" --volume patient005/ED --budget 6 \
    --out "$OUT/volume.png" --capture "$OUT/volume.kscan"

step "the same scan on an emulated Cortex-M4F"
firmware-demo/run.sh selftest "$OUT/heart.kscout" "$OUT/volume.kscan"

step "who wins"
say "What is compared, all with one segmenter that is tuned to the lines of all of them:" \
    "  policy           gives each line to the slice that it expects to gain most, from what it has observed of this heart" \
    "  by-position      the same order of lines, shared by a fixed plan, with more lines where training hearts needed them:" \
    "                   policy minus by-position is what observing the heart adds" \
    "  learned-mask     the same order again, equally many lines for each slice: by-position minus it is what the plan adds" \
    "  centre-out       lines from the middle of k-space outwards, equally many for each slice" \
    "  partial-fourier  lines from the middle outwards, then those of one side alone, equally many for each slice"
say ""
of="$OUT/eval"
$kscout compare "$of:policy" --with "$of:centre-out" --with "$of:by-position" --with "$of:learned-mask" \
    --with "$of:partial-fourier" --out "$OUT/compare.md" --plot "$OUT/dice.png"
say "" \
    "In words    $OUT/compare.md and $OUT/eval/report.md" \
    "Dice        $OUT/dice.png: against the lines measured" \
    "One heart   $OUT/volume.png: the lines that each slice got, and what came of them" \
    "The model   $OUT/heart.kscout, for kscout scan, predict and the firmware; README, \"From your own files to the device\", goes on from here"
