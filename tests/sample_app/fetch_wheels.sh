#!/bin/sh
# Fetches the wheels of requirements.txt into wheels/, so that the host needs no package index to build the images.
# Usage: fetch_wheels.sh PYTHON     (a Python >= 3.12 that has pip)
set -eu

if [ $# -ne 1 ]; then
    echo "usage: fetch_wheels.sh PYTHON" >&2
    exit 2
fi
python=$1
cd "$(dirname "$0")"

# The copy tells for which requirements the directory was filled.
if cmp -s requirements.txt wheels/requirements.txt; then
    exit 0
fi

echo "Fetching the sample application's wheels ..."
rm -rf wheels.part wheels
if ! "$python" -m pip --disable-pip-version-check download --quiet --only-binary :all: --no-deps \
    --dest wheels.part --requirement requirements.txt; then
    echo "fetch_wheels.sh: pip could not fetch the wheels: check the network and pip's index, then run it again." >&2
    exit 1
fi
cp requirements.txt wheels.part/
mv wheels.part wheels
