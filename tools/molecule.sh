#!/usr/bin/env bash
# The molecule scenarios, side by side, with the two long silences in them filled: building the stand-in's images, and the
# tests of the hosts.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
cd "$checkout"

readonly scenarios=(default backup)

tools/engine.sh
tests/sample_app/fetch_wheels.sh "$checkout/.venv/bin/python"
.venv/bin/python tests/stand_in/stand_in.py build

mkdir -p .cache/log
logs=()
for scenario in "${scenarios[@]}"; do
    : >".cache/tests-host-$scenario.log"
    logs+=(".cache/tests-host-$scenario.log")
done
tail --quiet --follow=name --lines=0 "${logs[@]}" 2>/dev/null &
readonly follower=$!
trap 'kill "$follower"' EXIT

# Two at once would write into each other's lines: of all but the tests, what the first says is shown, and what the
# others say when they failed.
declare -A running=()
for scenario in "${scenarios[@]:1}"; do
    molecule test --scenario-name "$scenario" >".cache/log/molecule-$scenario.log" 2>&1 &
    running[$scenario]=$!
done
code=0
molecule test --scenario-name "${scenarios[0]}" || code=$?
for scenario in "${!running[@]}"; do
    if ! wait "${running[$scenario]}"; then
        code=1
        cat ".cache/log/molecule-$scenario.log"
    fi
done
exit "$code"
