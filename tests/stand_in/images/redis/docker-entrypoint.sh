#!/bin/sh
# The contract of the official redis image: options and a configuration file go to redis-server, root drops to the
# user redis, and the server answers other containers.
set -eu

if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
    set -- redis-server "$@"
fi

if [ "$1" = redis-server ]; then
    if [ "$(id -u)" = 0 ]; then
        find . \! -user redis -exec chown redis:redis {} +
        exec setpriv --reuid redis --regid redis --init-groups "$0" "$@"
    fi
    # The official image is compiled with these two as defaults; a configuration file decides for itself.
    case "${2:-}" in
        *.conf) ;;
        *) set -- "$@" --bind '*' '-::*' --protected-mode no ;;
    esac
fi

exec "$@"
