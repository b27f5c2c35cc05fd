#!/usr/bin/env bash
# The molecule scenario, with the two long silences in it filled: building the stand-in's images, and the tests of the host.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
cd "$checkout"

readonly log=.cache/tests-host.log

tools/engine.sh
tests/sample_app/fetch_wheels.sh "$checkout/.venv/bin/python"
.venv/bin/python tests/stand_in/stand_in.py build

mkdir -p .cache
: >"$log"
tail --follow=name --lines=0 "$log" 2>/dev/null &
readonly follower=$!
trap 'kill "$follower"' EXIT
molecule test
