#!/bin/sh
# Written by coinpilot.ops. Usage: rollback.sh STATE RUNTIME FIREWALL...
# Puts back what a change that nobody confirmed has replaced. STATE/pending holds the paths of the files and, in
# before/PATH, those that were there; RUNTIME holds the rules that the change put into the kernel beside its own chains.
# FIREWALL... is the command that applies the rules of the files. Started again, it goes on where it was cut off.
set -eu

state=$1
runtime=$2
shift 2

# Who makes or confirms a change holds this. Should he hang, the way back must not.
exec 9>"$state/lock"
flock --wait 60 9 || echo 'the lock was not free after 60 s: going back all the same'

# Confirming renames it too: one of both wins.
if [ -d "$state/pending" ]; then
    mv -T "$state/pending" "$state/undoing"
fi
if [ ! -d "$state/undoing" ]; then
    exit 0
fi

while IFS= read -r path; do
    if [ -e "$state/undoing/before$path" ]; then
        cp -p "$state/undoing/before$path" "$path.undoing"
        mv -T "$path.undoing" "$path"
    else
        rm -f "$path"
    fi
done <"$state/undoing/paths"
sync

failed=0
# After a boot RUNTIME is empty, as the kernel's rules were.
for tables in iptables ip6tables; do
    if [ -e "$runtime/$tables.undo" ]; then
        if "$tables-restore" -w --noflush <"$runtime/$tables.undo"; then
            rm "$runtime/$tables.undo"
        else
            failed=1
        fi
    fi
done
"$@" || failed=1
# Not waited for: at boot, and so in general, the SSH server is started after this has ended.
if systemctl --quiet is-active ssh.service; then
    systemctl --no-block reload ssh.service || failed=1
fi

# Then systemd starts this again.
if [ "$failed" = 1 ]; then
    exit 1
fi
rm -rf "$state/undoing" "$runtime"
