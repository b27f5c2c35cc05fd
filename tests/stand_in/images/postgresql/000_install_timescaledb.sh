#!/bin/bash
# As in the official image: the extension is there before the application's own scripts run.
set -euo pipefail

for database in postgres template1 "$POSTGRES_DB"; do
    # Debian builds the Apache-licensed part only, in which the background job that comes with it would fail, and
    # fill the log, for ever.
    psql --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname "$database" \
        --set ON_ERROR_STOP=1 --single-transaction --output /dev/null <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS timescaledb CASCADE;
-- alter_job() belongs to the other part.
UPDATE _timescaledb_config.bgw_job SET scheduled = false;
SQL
done
