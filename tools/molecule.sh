#!/usr/bin/env bash
# The molecule scenarios, three at a time, with the two long silences in them filled: building the stand-in's images, and
# the tests of the hosts.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
cd "$checkout"

# What stands in one line runs one after the other; the lines take about as long as each other.
readonly lanes=("default backup" "deploy monitoring" "checks")

# Two at once would write into each other's lines: of all but the tests, what a scenario says is shown when it failed.
run_lane() { # SCENARIO...
    local scenario code=0
    for scenario in "$@"; do
        if molecule test --scenario-name "$scenario" >".cache/log/molecule-$scenario.log" 2>&1; then
            say "scenario $scenario: passed"
        else
            code=1
            cat ".cache/log/molecule-$scenario.log"
            say "scenario $scenario: failed"
        fi
    done
    return "$code"
}

tools/engine.sh
tests/sample_app/fetch_wheels.sh "$checkout/.venv/bin/python"
.venv/bin/python tests/stand_in/stand_in.py build

mkdir -p .cache/log
read -ra scenarios <<<"${lanes[*]}"
logs=()
for scenario in "${scenarios[@]}"; do
    : >".cache/tests-host-$scenario.log"
    logs+=(".cache/tests-host-$scenario.log")
done
tail --quiet --follow=name --lines=0 "${logs[@]}" 2>/dev/null &
readonly follower=$!
trap 'kill "$follower"' EXIT

running=()
for lane in "${lanes[@]}"; do
    read -ra scenarios <<<"$lane"
    run_lane "${scenarios[@]}" &
    running+=($!)
done
code=0
for process in "${running[@]}"; do
    wait "$process" || code=1
done
exit "$code"
