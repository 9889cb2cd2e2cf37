#!/usr/bin/env bash
# Shows that two builds of kscout compute the same: each makes the same things of the same data, in a folder of its own, and a table
# says of each thing whether the two are equal. Exit code 1 if anything differs; both folders are kept then.
#     tests/before-after.sh OLD NEW [DATA]    OLD, NEW: binaries; DATA: a data set besides the phantom, such as an import of ACDC
# Compared: a phantom's bytes; weights after a short training of each kind (by the hash in the checkpoint) and the rows of its log,
# the seconds aside; learned and recorded masks; exported files; scans with their digests, of the files of both builds; the CSV files
# of evaluations by every method. Names of tasks and options may have changed in between, results may not.
# 1 to 2 minutes on 2 cores; with all of ACDC 5 more. BEFORE_AFTER_KEEP=1 keeps the folders in any case.
set -euo pipefail

[ $# = 2 ] || [ $# = 3 ] || { echo "usage: tests/before-after.sh OLD NEW [DATA]" >&2 && exit 2; }
work=$(mktemp -d "${TMPDIR:-/tmp}/before-after.XXXXXX")
mkdir "$work/old" "$work/new"
declare -A tasks
side=old
for binary in "$1" "$2"; do
    # By a link in its own folder, so that the command that files hold is the same on both sides.
    ln -s "$(realpath "$binary")" "$work/$side/kscout"
    tasks[$side]=$("$work/$side/kscout" train --help) || { echo "before-after.sh: $binary: no binary of kscout" >&2 && exit 2; }
    side=new
done
compared=0
differing=0

# TASK as the build of SIDE knows it: before `train segmenter` there was `train reward`, and keys said which kind was meant.
task() { # SIDE TASK
    if grep -q "^  $2 " <<<"${tasks[$1]}"; then
        echo "$2"
    else
        case $2 in
            segmenter) echo reward ;;
            classifier) echo reward --set kind=classification ;;
            line-policy) echo policy ;;
            slice-policy) echo policy --set budget=volume ;;
        esac
    fi
}

# Both builds run `kscout ARGUMENTS` at the same time, each in its own folder; what they say goes to NAME.out and NAME.err there.
both() { # NAME ARGUMENTS
    local side command
    for side in old new; do
        command=("${@:2}")
        if [ "$2" = train ]; then
            read -ra command <<<"$(task "$side" "$3")"
            command=(train "${command[@]}" "${@:4}")
        fi
        (
            cd "$work/$side"
            rc=0
            ./kscout "${command[@]}" >"$1.out" 2>"$1.err" || rc=$?
            echo $rc >"$1.rc"
        ) &
    done
    wait
    [ "$(cat "$work/old/$1.rc")" = 0 ] || stop "OLD failed in: kscout ${*:2}" "$(cat "$work/old/$1.err")"
}

stop() {
    printf 'before-after.sh: %s\n' "$@" "kept: $work" >&2
    exit 2
}

# Both builds train TASK into the folder NAME.
train() { # NAME TASK ARGUMENTS
    both "$1" train "$2" --out "$1" "${@:3}"
    row "$2 $1: weights" "$1" weights "$1"
    row "$2 $1: log" "$1" log "$1"
}

# One row of the table: what FUNCTION prints in the folders of both, made by the run NAME.
row() { # WHAT NAME FUNCTION ARGUMENTS
    local old new verdict=equal
    old=$(value old "${@:2}")
    new=$(value new "${@:2}")
    [ "$old" != none ] || stop "OLD left nothing to compare for: $1"
    compared=$((compared + 1))
    if [[ "$new" == failed:*checkpoint* && "$1" == *"of OLD"* ]]; then
        verdict=refused
    elif [ "$old" != "$new" ]; then
        verdict=DIFFERENT
        differing=$((differing + 1))
    fi
    printf '%-8s %-38s %-16s %-16s %s\n' "$data_name" "$1" "$old" "$new" "$verdict"
}

value() { # SIDE NAME FUNCTION ARGUMENTS
    cd "$work/$1"
    if [ "$(cat "$2.rc")" != 0 ]; then
        echo "failed: $(grep -m1 '^error' "$2.err" || tail -n1 "$2.err")"
    else
        "${@:3}" 2>/dev/null || echo none
    fi
}

sum() { cksum | awk '{ printf "%08x %d\n", $1, $2 }'; }
# CRC and length of a file.
file() { [ -s "$1" ] && sum <"$1"; }
# The same of a list of the CRCs of all files in a folder whose names end so.
files() { # FOLDER ENDING
    local found
    found=$(cd "$1" && find . -type f -name "*$2" -exec cksum {} + | LC_ALL=C sort -k 3) && [ -n "$found" ] && sum <<<"$found"
}
# Of the weights of a checkpoint.
weights() { grep -o '"weights_hash": *"[0-9a-f]*"' "$1/last/checkpoint.json" | cut -d'"' -f4; }
# The rows of a training's log without the seconds. The names of its columns may have changed.
log() { tail -n +2 "$1/log.csv" | cut -d, -f1,3- | sum; }
digest() { grep '^digest' "$1.out" | awk '{ print $2 }'; }

exported() { # NAME SEGMENTER OPTIONS
    both "export-$1" export --reward "$2/last" --data "$data" --calibration 16 --out "$1.kscout" "${@:3}"
    row "export $1" "export-$1" file "$1.kscout"
}

# Scans by both builds of the file that OLD has exported, with what they measured, and by NEW of its own if that is another one.
scanned() { # NAME FILE OPTIONS
    local scan=(--data "$data" --budget 6 "${@:3}")
    both "scan-$1" scan "../old/$2" --capture "$1.kscan" "${scan[@]}"
    row "scan $1: digest" "scan-$1" digest "scan-$1"
    row "scan $1: capture" "scan-$1" file "$1.kscan"
    cmp -s "$work/old/$2" "$work/new/$2" && return
    both "scan-own-$1" scan "$2" "${scan[@]}"
    row "scan $1, own file: digest" "scan-own-$1" digest "scan-own-$1"
}

evaluated() { # NAME OPTIONS
    both "eval-$1" eval --data "$data" --out "eval-$1" --budgets 4,6 "${@:2}"
    row "eval $1: CSV files" "eval-$1" files "eval-$1" .csv
}

# Everything of one data set. SLICE and VOLUME are scanned; LIMIT volumes are evaluated.
compare() { # SLICE VOLUME LIMIT
    local short=(--data "$data" --set batch=4 --set warmup=2 --set validate_every=20 --set "validate_lines=[8]" --set steps=20)
    train unext-s segmenter "${short[@]}" --set network_width=8
    train unet segmenter "${short[@]}" --set network=unet --set network_width=4 --set loss=lovasz-dice --set ema_decay=0.9
    train unetpp segmenter "${short[@]}" --set network=unetpp --set network_width=2 --set reconstruction=half-homodyne \
        --set optimizer=sgd --set learning_rate=0.1 --set schedule=step --set decay_every=8 --set accumulate=2
    both labels data labels "$data" --out labels.csv
    row "labels of the groups" labels file labels.csv
    train resnet18 classifier "${short[@]}" --set network=resnet18 --labels labels.csv

    exported segmenter unext-s
    exported unet unet
    exported homodyne unetpp --prune 2
    exported x86-64 unext-s --target x86-64
    both onnx export --from segmenter.kscout --onnx segmenter.onnx
    row "export segmenter as ONNX" onnx file segmenter.onnx

    both mask train mask --model segmenter.kscout --data "$data" --out mask.json --budget 6 --volumes 2 --candidates 8 --reorder
    row "learned mask" mask file mask.json
    # A bad order, which a policy outdoes in a few updates.
    local side
    for side in old new; do
        (cd "$work/$side" && sed -z 's/"lines": \[[^]]*\]/"lines": [31, 0, 30, 1, 29, 2]/' mask.json >bad.json) || true
    done

    local ppo=(--data "$data" --reward unext-s/last --set min_budget=3 --set "validate_lines=[4]")
    train scout line-policy "${ppo[@]}" --mask bad.json --set updates=20 --set episodes=24 --set max_budget=4 \
        --set validate_every=10 --set learning_rate=1e-2 --set order_slope=0.05 --set entropy_weight=0 --set target_kl=0 \
        --set reward.lambda1=1 --set reward.lambda2=0
    train asmr line-policy "${ppo[@]}" --set network=asmr --set updates=1 --set episodes=2 --set max_budget=6 --set validate_every=1
    train asmr-classifier line-policy --data "$data" --reward resnet18/last --labels labels.csv --set network=scout --set updates=2 \
        --set episodes=4 --set min_budget=3 --set max_budget=6 --set validate_every=2 --set "validate_lines=[4]"
    local slices=("${ppo[@]}" --mask mask.json --set copies=1 --set warm_steps=20 --set warm_batch=64 --set episodes=8
        --set max_budget=6 --set validate_every=3)
    train slices slice-policy "${slices[@]}" --set updates=3
    row "slice-policy slices: by position" slices file slices/positions.json

    exported lines unext-s --policy scout/best
    exported slices unext-s --slice-policy slices/last
    scanned lines lines.kscout --slice "$1"
    scanned homodyne homodyne.kscout --slice "$1" --protocol igs --pattern partial-fourier
    scanned slices slices.kscout --volume "$2" --least-gain 0.001

    both lines-csv masks --model lines.kscout --data "$data" --out lines.csv --budgets 4,6
    row "recorded masks of the policy" lines-csv file lines.csv
    both slices-csv masks --model slices.kscout --data "$data" --out slices.csv --budgets 4,6
    row "recorded masks of the slice policy" slices-csv file slices.csv
    train tuned segmenter "${short[@]}" --init unext-s/last --masks lines.csv --masks slices.csv

    evaluated by-all-methods --model slices.kscout --baselines all --mask mask.json --positions slices/positions.json \
        --candidates 8 --neighbours 10 --panels 0 --limit-volumes "$3"
    evaluated lines-in-int8 --model lines.kscout --baselines patterns --panels 0 --limit-volumes "$3" --draws 2
    # Of whole patients, so that there are ejection fractions.
    evaluated lines-in-f32 --reward unext-s/last --policy scout/best --baselines centre-out --panels 0
    evaluated asmr-in-f32 --reward unext-s/last --policy asmr/last --baselines centre-out --panels 0 --limit-volumes "$3"
    evaluated classifier --reward resnet18/last --labels labels.csv --baselines patterns --panels 0 --limit-volumes "$3"

    # Checkpoints of before: read, with the same outcome, or refused by name.
    both of-old export --reward ../old/unext-s/last --data "$data" --calibration 16 --out of-old.kscout
    row "export of a checkpoint of OLD" of-old file of-old.kscout
    for side in old new; do
        cp -r "$work/old/unext-s" "$work/$side/resumed"
    done
    both resumed train segmenter --out resumed --resume "${short[@]}" --set network_width=8 --set steps=25
    row "a run of OLD, resumed: weights" resumed weights resumed
    for side in old new; do
        cp -r "$work/old/slices" "$work/$side/more-slices"
    done
    both more-slices train slice-policy --out more-slices --resume "${slices[@]}" --set updates=5
    row "a slice policy of OLD, resumed: weights" more-slices weights more-slices
}

printf '%-8s %-38s %-16s %-16s %s\n' data what old new ""
data_name=phantom
data=phantom
both phantom data phantom phantom --patients 40 --seed 1 --size 32
row "the phantom's files" phantom files phantom ""
compare patient005/3 patient005/ED 4
if [ $# = 3 ]; then
    data_name=$(basename "$3")
    data=$(realpath "$3")
    mkdir "$work/phantom"
    for side in old new; do
        mkdir "$work/phantom/$side"
        find "$work/$side" -mindepth 1 -maxdepth 1 ! -name kscout -exec mv -t "$work/phantom/$side" {} +
    done
    compare patient005/3 patient005/ED 2
fi

if [ "$differing" = 0 ]; then
    echo "$compared compared, none different"
    if [ -n "${BEFORE_AFTER_KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
else
    echo "$compared compared, $differing different; kept: $work" >&2
    exit 1
fi
