#!/usr/bin/env bash
# Deals the work of one kscout command out to the tasks of a Slurm array, or to the pods of a Kubernetes indexed job:
#
#     job=$(sbatch --parsable --array=1-8 configs/slurm/array.sh eval --model heart.kscout --data data/acdc128 --out runs/eval)
#     sbatch --dependency=afterok:"$job" --wrap "kscout merge runs/eval"
#
# `eval` and `masks` are dealt out by volumes, trainings by the runs of a --sweep:
#
#     sbatch --array=1-5 --gpus-per-task=1 configs/slurm/array.sh train segmenter --config configs/unet.toml --set folds=5 \
#         --sweep fold=1,2,3,4,5 --data data/acdc128 --out runs/folds
#
# Tasks that failed are run again by their numbers: KSCOUT_SHARDS=8 sbatch --array=3,7 configs/slurm/array.sh ... , trainings with
# --resume. `train mask` takes parts too, but only where all tasks run at the same time.
#
# In a Kubernetes job (completionMode: Indexed) set KSCOUT_SHARDS to the number of completions. KSCOUT names the program where it is
# not on the path. Each task works with the processors, and the GPU, that the engine gives it.
#SBATCH --job-name=kscout
#SBATCH --output=%x-%A-%a.log
#SBATCH --ntasks=1
set -euo pipefail

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ] && [ -n "${KSCOUT_SHARDS:-}" ]; then
    number=$SLURM_ARRAY_TASK_ID
    of=$KSCOUT_SHARDS
elif [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    number=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))
    of=$((SLURM_ARRAY_TASK_MAX - SLURM_ARRAY_TASK_MIN + 1))
    if [ "$SLURM_ARRAY_TASK_COUNT" != "$of" ]; then
        echo "array.sh: --array leaves tasks out; to run some of N again, set KSCOUT_SHARDS=N: their numbers are then from 1 to N" >&2
        exit 2
    fi
elif [ -n "${JOB_COMPLETION_INDEX:-}" ]; then
    number=$((JOB_COMPLETION_INDEX + 1))
    of=${KSCOUT_SHARDS:?array.sh: set KSCOUT_SHARDS to the number of completions of the job}
else
    echo "array.sh: neither in a Slurm array (sbatch --array=1-8) nor in a Kubernetes indexed job" >&2
    exit 2
fi
exec "${KSCOUT:-kscout}" "$@" --shard "$number/$of"
