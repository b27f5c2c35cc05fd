#!/usr/bin/env bash
# Makes .venv with everything that the control machine and the tests need. Does nothing when it is current.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
cd "$checkout"

# `make` puts .venv first on the path; what makes it must come from elsewhere.
PATH=${PATH//"$checkout/.venv/bin:"/}

readonly stamp=.venv/requirements.stamp
readonly logs=.cache/log

# The path is part of it: the programs in .venv hold it, so a moved checkout needs a new one.
wanted() { cat requirements.txt requirements-oci.txt requirements-dev.txt constraints.txt && printf '%s\n' "$checkout"; }

current() { [ -x .venv/bin/python ] && wanted | cmp --silent - "$stamp"; }

# The versions that ansible-core 2.21 supports. Runs the program: a shim on the path may stand for nothing.
suits() {
    "$1" -c 'import sys; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1
}

# These set `python`.
find_python() {
    local candidate
    for candidate in python3.14 python3.13 python3.12 python3 ~/.pyenv/versions/*/bin/python3; do
        if suits "$candidate"; then
            python=$(command -v "$candidate")
            return
        fi
    done
    return 1
}

apt_install() {
    say "Installing $*"
    as_root apt-get update --quiet=2 &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "$@" >/dev/null
}

# The distribution's own, where there is none at all; where it is too old, one that uv brings, beside the system's.
get_python() {
    local uv
    if ! command -v python3 >/dev/null && command -v apt-get >/dev/null; then
        apt_install python3 python3-venv || return
        if find_python; then
            return
        fi
    fi
    say "No Python 3.12 to 3.14 here: getting one with uv"
    if ! uv=$(command -v uv); then
        command -v python3 >/dev/null || return
        ensure_venv_module python3
        uv=.cache/uv/bin/uv
        { python3 -m venv .cache/uv && .cache/uv/bin/python -m pip install --quiet uv==0.13.9; } || return
    fi
    "$uv" python install --quiet 3.13 && python=$("$uv" python find --managed-python 3.13)
}

# Debian and Ubuntu keep the part that makes virtual environments in a package of its own.
ensure_venv_module() {
    local package
    if "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        return
    fi
    package=python$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
    if ! command -v apt-get >/dev/null || ! apt_install "$package"; then
        fail "$1 cannot make virtual environments: install $package (Debian, Ubuntu: sudo apt install $package) and run this again."
    fi
}

make_environment() {
    local python
    find_python || get_python ||
        fail "No Python 3.12 to 3.14 found, and uv could not get one: install one (Debian 13, Ubuntu 24.04: sudo apt install python3 python3-venv; elsewhere: uv python install 3.13) and run this again."
    ensure_venv_module "$python"
    say "Setting up .venv with $("$python" --version) (1 to 3 minutes the first time)"
    rm -rf .venv
    "$python" -m venv .venv
    quietly "$logs/pip.log" .venv/bin/python -m pip install --requirement requirements-dev.txt --constraint constraints.txt
    wanted >"$stamp"
    say ".venv is ready"
}

if ! current; then
    make_environment
fi
