#!/usr/bin/env bash
# Every test there is, step by step; a step that fails does not keep the next one from running.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
cd "$checkout"

readonly junit=.cache/junit
hosts=
for scenario in molecule/*/; do
    hosts+=:$junit/host-$(basename "$scenario").xml
done
declare -A reports=([unit]=$junit/unit.xml [molecule]=${hosts#:})

# What an earlier run found does not count for this one.
rm -rf "$junit"
mkdir -p "$junit"

# Runs one step; gives its exit code.
run() { # STEP
    local started=$SECONDS code=0
    say "make $1"
    make --no-print-directory "$1" || code=$?
    say "make $1: exit code $code after $((SECONDS - started)) s"
    return "$code"
}

declare -A codes=([lint]=0 [unit]=0 [sanity]=0 [molecule]=0)

# Both keep one processor busy, and are quiet for long. Two at once would write into each other's lines.
mkdir -p .cache/log
run sanity >.cache/log/sanity.log 2>&1 &
readonly beside=$!
run lint || codes[lint]=$?
wait "$beside" || codes[sanity]=$?
cat .cache/log/sanity.log

for step in unit molecule; do
    run "$step" || codes[$step]=$?
done

results=()
for step in lint sanity unit molecule; do
    results+=("$step=${codes[$step]}${reports[$step]:+:${reports[$step]}}")
done
.venv/bin/python tools/summary.py "${results[@]}"
