#!/usr/bin/env bash
# Every test there is, one step after the other; a step that fails does not keep the next one from running.
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

results=()
for step in lint unit sanity molecule; do
    say "make $step"
    started=$SECONDS
    code=0
    make --no-print-directory "$step" || code=$?
    say "make $step: exit code $code after $((SECONDS - started)) s"
    results+=("$step=$code${reports[$step]:+:${reports[$step]}}")
done
.venv/bin/python tools/summary.py "${results[@]}"
