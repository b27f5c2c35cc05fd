#!/usr/bin/env bash
# Makes sure that a Docker engine answers on this machine and that the tools which build and reach the stand-in host
# are there. Silent and quick when there is nothing to do.
set -euo pipefail

log="${XDG_CACHE_HOME:-$HOME/.cache}/coinpilot-ops/dockerd.log"
start_limit=60 # seconds

say() { echo "engine: $*"; }
die() {
    echo "engine: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        die "root is needed to run '$1': install sudo, or run this as root."
    fi
}

answers() { docker info > /dev/null 2>&1; }

is_running() { pgrep -x dockerd > /dev/null; }

install_packages() { # PACKAGE...
    command -v apt-get > /dev/null \
        || die "$* missing, and this is neither Debian nor Ubuntu: install what corresponds to it, then run this again."
    say "installing $* (up to a minute) ..."
    as_root apt-get update --quiet=2
    # --no-remove: somebody's own Docker packages are theirs to replace.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-remove --no-install-recommends "$@" \
        > /dev/null || die "apt could not install $*: see the lines above."
}

missing_packages() {
    command -v mmdebstrap > /dev/null || echo mmdebstrap
    command -v pgrep > /dev/null || echo procps
    command -v rsync > /dev/null || echo rsync
    command -v ssh > /dev/null || echo openssh-client
    # Ubuntu does not know the keys of Debian, whose packages the stand-in is made of.
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || echo debian-archive-keyring
    [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
}

start_engine() {
    if [ -d /run/systemd/system ]; then
        say "starting Docker with systemd"
        as_root systemctl start docker.service || die "Docker does not start: see 'journalctl -u docker -n 50'."
        return
    fi
    say "starting dockerd in the background, as no systemd runs here (log: $log)"
    mkdir -p "$(dirname "$log")"
    # Its socket belongs to this user's group: membership of the group docker would need a new login.
    as_root setsid --fork dockerd --group "$(id -gn)" >> "$log" 2>&1 < /dev/null
}

refuse_if_not_allowed() {
    if [[ "$(docker info 2>&1)" == *"permission denied"* ]]; then
        die "Docker runs, but $(id -un) may not use it: run 'sudo usermod -aG docker $(id -un)' and log in again."
    fi
}

wait_for_engine() {
    local waited
    for ((waited = 0; waited < start_limit; waited++)); do
        if answers; then
            say "Docker answers"
            return
        fi
        refuse_if_not_allowed
        sleep 1
    done
    die "Docker does not answer after $start_limit s: see $log, or 'journalctl -u docker' where systemd runs."
}

mapfile -t packages < <(missing_packages)
if [ "${#packages[@]}" -gt 0 ]; then
    install_packages "${packages[@]}"
fi

if answers; then
    exit 0
fi
if [ -n "${DOCKER_HOST:-}" ]; then
    die "DOCKER_HOST is $DOCKER_HOST, and nothing answers there: start that engine, or unset DOCKER_HOST."
fi
command -v dockerd > /dev/null || install_packages docker.io
# Some releases have the client in a package of its own.
command -v docker > /dev/null || install_packages docker-cli
if ! answers && ! is_running; then
    start_engine
fi
wait_for_engine
