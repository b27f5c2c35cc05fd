# shellcheck shell=bash
# Sourced by the scripts beside it: where the checkout is, and saying what goes on.

# shellcheck disable=SC2034  # for those who source this
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '==> %s\n' "$*"; }

fail() {
    printf 'ERROR: %s\n' "$*" >&2
    exit 1
}

# quietly LOG COMMAND...: a long command, its output in a file. A line every 15 seconds shows that it lives; when it
# fails, the end of the file says why.
quietly() {
    local log=$1 start=$SECONDS told=$SECONDS pid
    shift
    mkdir -p "$(dirname "$log")"
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - told)) -ge 15 ]; then
            told=$SECONDS
            printf '    ... %s s\n' "$((SECONDS - start))"
        fi
    done
    if ! wait "$pid"; then
        tail -n 20 "$log" >&2
        fail "'$*' failed; all that it said is in $log"
    fi
}

# as_root COMMAND...: fails where that would need a password that nobody is there to type.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo --non-interactive "$@"
    fi
}
