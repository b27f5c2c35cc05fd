#!/usr/bin/env bash
# demo.sh up | tunnel | down: the whole stack on a stand-in host.
set -euo pipefail
# shellcheck source=tools/common.sh
source "$(dirname "$0")/common.sh"
cd "$checkout"

readonly name=coinpilot-ins
readonly inventory=inventories/demo
readonly state=.cache/stand_in/$name
readonly logs=.cache/log
readonly port=${COINPILOT_DEMO_SSH_PORT:-2222}

stand_in() { .venv/bin/python tests/stand_in/stand_in.py "$@"; }

playbook() { ansible-playbook --inventory "$inventory/hosts.yml" --limit oci "$@"; }

up() {
    tools/engine.sh
    tests/sample_app/fetch_wheels.sh "$checkout/.venv/bin/python"
    stand_in up --name "$name" --ssh-port "$port"
    .venv/bin/python tests/stand_in/demo_inventory.py "$port"
    say "First contact: putting the stand-in host on record"
    # Its host key was read through Docker, so a new machine under this name is one that we made.
    quietly "$logs/first_contact.log" playbook playbooks/first_contact.yml -e first_contact_confirm=yes -e first_contact_replace=yes
    say "Provisioning (ansible-playbook -i $inventory/hosts.yml site.yml -l oci)"
    playbook site.yml
    say "Verifying (ansible-playbook -i $inventory/hosts.yml playbooks/verify.yml)"
    playbook playbooks/verify.yml
    quietly "$logs/tunnel.log" playbook playbooks/tunnel.yml
    where_to_look
}

where_to_look() {
    cat <<END

The stack runs on the stand-in host '$name'. Open the tunnel with 'make demo-tunnel'; then, in the browser:
VM을 대신하는 호스트 '$name'에서 스택이 실행 중입니다. 'make demo-tunnel'로 터널을 연 뒤 브라우저에서 접속하세요.

  Dashboard   http://localhost:18501   password / 비밀번호: DASHBOARD_ACCESS_PASSWORD
  n8n         http://localhost:15678   N8N_OWNER_EMAIL, N8N_OWNER_PASSWORD
  Grafana     http://localhost:13000   GRAFANA_ADMIN_USER, GRAFANA_ADMIN_PASSWORD
  Prometheus  http://localhost:19090

The values are in / 값이 있는 파일:  $inventory/group_vars/all/secrets.yml
Log in to the host / 호스트 접속:    ssh -F $state/ssh_config coinpilot
Check again / 다시 점검:             .venv/bin/ansible-playbook -i $inventory/hosts.yml playbooks/verify.yml
Remove it all / 모두 지우기:         make demo-down
END
}

tunnel() {
    [ -f "$state/ssh/config" ] || fail "There is no demo to connect to: run 'make demo' first."
    cat <<END
http://localhost:18501  http://localhost:15678  http://localhost:13000  http://localhost:19090
Leave this open; Ctrl+C closes it. / 이 창을 그대로 두세요. 닫으려면 Ctrl+C.
END
    exec ssh -N -F "$state/ssh/config" coinpilot-demo
}

down() {
    if docker info >/dev/null 2>&1; then
        stand_in down --name "$name"
        stand_in clean
    else
        say "No Docker engine answers: nothing of the demo to remove there"
    fi
    rm -rf "$state" "$inventory/host_vars" "$inventory/group_vars/all/secrets.yml"
    say "The demo is gone"
}

case ${1:-} in
up | tunnel | down) "$1" ;;
*) fail "use: tools/demo.sh up | tunnel | down" ;;
esac
