#!/usr/bin/env bash
# What the daily routine and the checklist are by hand: one command an item, each by itself. The baseline of the
# measured command, on the same running stack.
set +e -uo pipefail
cd /opt/coin-pilot/deploy/cloud/oci || exit 2
compose() { docker compose --env-file .env -f docker-compose.prod.yml "$@"; }
bad='critical|traceback|undefined|failed'

systemctl status coinpilot-compose.service --no-pager
compose ps
for service in db redis collector bot dashboard n8n prometheus grafana; do
    compose ps --format '{{.Status}}' "$service"
done
compose logs --since=10m bot | grep -Ei "$bad"
compose logs --since=30m bot | grep -Ei "$bad"
compose logs --since=30m n8n | grep -Ei 'error|failed|webhook'
curl -sS http://127.0.0.1:9090/api/v1/targets
docker exec coinpilot-bot python -c 'import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:8000/metrics").read())'
curl -sS -u "$(sed -n 's/^GRAFANA_ADMIN_USER=//p' .env):x" http://127.0.0.1:3000/api/health
curl -sS http://127.0.0.1:5678/healthz
compose logs --since=6h bot | grep -E 'Entry|AI|Risk'
compose logs --since=12h bot | grep -Ei 'RSS ingest|daily report'
compose logs --since=24h collector | grep -Ei "$bad"
docker volume ls
docker inspect --format '{{range .Mounts}}{{.Name}} {{end}}' coinpilot-n8n
systemctl is-active cron
cat /etc/cron.d/coinpilot-backup
find /var/backups/coinpilot -type f | tail -n 20
for directory in postgres redis n8n; do
    (cd "/var/backups/coinpilot/$directory/daily" && sha256sum -c ./*.sha256)
done
df -h
df -i
free -m
uptime
timedatectl
exit 0
