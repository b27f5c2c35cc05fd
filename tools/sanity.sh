#!/usr/bin/env bash
# ansible-test sanity on a copy of what the collection is made of (galaxy.yml: build_ignore): it wants a collection to lie at ansible_collections/coinpilot/ops,
# and takes the link that stands there in the checkout for none. Runs what its Python versions here allow.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
cd "$checkout"

# What ansible-test of ansible-core 2.21 puts into its environments.
readonly pip=25.2
readonly cache=~/.ansible/test/cache

# ansible-test fetches pip's installer from a host that not everyone can reach. What it looks for first is this file:
# it installs the same pip from its package.
provide_pip() {
    local installer=$cache/get_pip_${pip//./_}.py
    if [ -e "$installer" ]; then
        return
    fi
    mkdir -p "$cache"
    .venv/bin/python -m pip download --quiet --no-deps --dest "$cache" "pip==$pip"
    cat >"$installer" <<END
import os
import runpy
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "pip-$pip-py3-none-any.whl"))
options = [option for option in sys.argv[1:] if option not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", "--upgrade", "--force-reinstall", *options]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
END
}

# The Python versions that are here and work, in a directory of their own: a version manager's shim stands on the path
# for versions that do not run.
provide_pythons() {
    local version candidate
    mkdir -p "$1"
    for version in 3.9 3.10 3.11 3.12 3.13 3.14; do
        for candidate in "python$version" ~/.pyenv/versions/"$version".*/bin/"python$version"; do
            if "$candidate" -c '' >/dev/null 2>&1; then
                ln -s "$("$candidate" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))')" "$1/python$version"
                break
            fi
        done
    done
}

provide_pip
copy=$(mktemp --directory)
trap 'rm -rf "$copy"' EXIT
target=$copy/ansible_collections/coinpilot/ops
mkdir -p "$target"
{
    git ls-files -z -- ':!.*' ':!collections' ':!inventories' ':!molecule' ':!tests' ':!tools'
    git ls-files -z -- tests/sanity
} | tar --create --null --files-from=- | tar --extract --directory "$target"
cd "$target"
# It looks at what git tracks.
git init --quiet
# Its own output is none of ours.
echo tests/output >.git/info/exclude
git add --all
provide_pythons "$copy/bin"
PATH=$copy/bin:${PATH//"$HOME/.pyenv/shims:"/}
say "ansible-test sanity (up to 2 minutes the first time)"
PIP_QUIET=1 PIP_PROGRESS_BAR=off ansible-test sanity --color no "$@"
