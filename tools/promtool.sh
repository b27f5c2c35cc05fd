#!/usr/bin/env bash
# Puts promtool, which tests the alert rules, into .venv. Silent and quick when there is one.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
cd "$checkout"

readonly unpacked=.cache/promtool

if [ -x .venv/bin/promtool ]; then
    exit
fi
if found=$(command -v promtool); then
    ln --symbolic --force "$found" .venv/bin/promtool
    exit
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    fail "promtool is missing, and this is neither Debian nor Ubuntu: install Prometheus's promtool and run this again."
fi

# Debian 13 has it in a package of its own, older ones and Ubuntu with the server.
download() {
    (cd "$unpacked" && { apt-get download --quiet=2 promtool || apt-get download --quiet=2 prometheus; })
}

say "Getting promtool from the package of the distribution"
rm -rf "$unpacked"
mkdir -p "$unpacked"
# Unpacked rather than installed: the package starts a server.
if ! download 2>/dev/null; then
    as_root apt-get update --quiet=2
    download
fi
dpkg-deb --extract "$unpacked"/*.deb "$unpacked"
install "$unpacked/usr/bin/promtool" .venv/bin/promtool
rm -rf "$unpacked"
