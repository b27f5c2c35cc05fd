#!/bin/bash
# As in the official image: the extension is there before the application's own scripts run.
for database in postgres template1 "$POSTGRES_DB"; do
    psql --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname "$database" --set ON_ERROR_STOP=1 \
        --command 'SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS timescaledb CASCADE'
done
