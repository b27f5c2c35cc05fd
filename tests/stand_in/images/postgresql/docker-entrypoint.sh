#!/bin/bash
# The contract of the official postgres image: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB (or each with _FILE),
# PGDATA, and /docker-entrypoint-initdb.d, which is run once, when the data directory is empty.
set -euo pipefail

from_file() {  # NAME [DEFAULT]: the value of NAME, or what stands in the file that NAME_FILE names
    local file="${1}_FILE"
    if [ -n "${!file:-}" ]; then
        printf -v "$1" '%s' "$(< "${!file}")"
    else
        printf -v "$1" '%s' "${!1:-${2:-}}"
    fi
    export "${1?}"
    unset "$file"
}

sql() {
    psql --no-psqlrc --no-password --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"
}

initialise() {
    if [ -z "$POSTGRES_PASSWORD" ]; then
        echo "Error: Database is uninitialized and superuser password is not specified: set POSTGRES_PASSWORD." >&2
        exit 1
    fi
    initdb --username "$POSTGRES_USER" --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") \
        --auth-local trust --auth-host trust \
        --set listen_addresses='*' --set shared_preload_libraries=timescaledb --set timescaledb.telemetry_level=off
    # The lines before this one trust the socket and the loopback.
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"

    # Nobody outside may meet a database that is half made: this server has the socket only.
    pg_ctl --wait --options "-c listen_addresses=''" start
    if [ "$POSTGRES_DB" != postgres ]; then
        sql --dbname postgres --set name="$POSTGRES_DB" <<< 'CREATE DATABASE :"name"'
    fi
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sh)
                echo "$0: running $file"
                # An executable script runs by itself; any other becomes part of this one.
                # shellcheck source=/dev/null
                if [ -x "$file" ]; then "$file"; else . "$file"; fi
                ;;
            *.sql) echo "$0: running $file"; sql --dbname "$POSTGRES_DB" --file "$file" ;;
            *.sql.gz) echo "$0: running $file"; gunzip --stdout "$file" | sql --dbname "$POSTGRES_DB" ;;
            *) echo "$0: ignoring $file" ;;
        esac
    done
    pg_ctl --wait --mode fast stop
    echo "PostgreSQL init process complete; ready for start up."
}

if [ "${1:0:1}" = - ]; then
    set -- postgres "$@"
fi

if [ "$1" = postgres ]; then
    if [ "$(id -u)" = 0 ]; then
        install --directory --owner postgres --group postgres --mode 0700 "$PGDATA"
        find "$PGDATA" \! -user postgres -exec chown postgres:postgres {} +
        exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
    fi
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA"
    from_file POSTGRES_USER postgres
    from_file POSTGRES_PASSWORD
    from_file POSTGRES_DB "$POSTGRES_USER"
    if [ -s "$PGDATA/PG_VERSION" ]; then
        echo "PostgreSQL Database directory appears to contain a database; Skipping initialization"
    else
        initialise
    fi
fi

exec "$@"
