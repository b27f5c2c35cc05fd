#!/bin/sh
# Written by coinpilot.ops. Usage: firewall.sh NAME DIRECTORY
# Puts the rules of DIRECTORY/{iptables,ip6tables}.rules, which are all in the chains NAME-FORWARD and NAME-INPUT, in
# front of all others; where there is no such file, takes the two chains away. No rule of Docker, of the distribution or
# of a person is touched, and each address family changes in one transaction.
set -eu

name=$1
directory=$2

# The lines of a chain that jump to another, as lines that delete them.
delete_jumps() { # CHAIN TARGET
    printf '%s\n' "$rules_now" | sed -n "s/^-A $1 -j $2\$/-D $1 -j $2/p"
}

has() { # LINE
    printf '%s\n' "$rules_now" | grep -qxF -e "$1"
}

put() { # FILE
    # Docker makes this chain, and keeps what it finds there. At boot Docker comes later.
    has '-N DOCKER-USER' || echo ':DOCKER-USER - [0:0]'
    sed '/^\*filter$/d; /^COMMIT$/d' "$1"
    delete_jumps FORWARD DOCKER-USER
    echo '-I FORWARD -j DOCKER-USER'
    delete_jumps DOCKER-USER "$name-FORWARD"
    echo "-I DOCKER-USER -j $name-FORWARD"
    delete_jumps INPUT "$name-INPUT"
    echo "-I INPUT -j $name-INPUT"
}

take_away() {
    delete_jumps DOCKER-USER "$name-FORWARD"
    delete_jumps INPUT "$name-INPUT"
    for chain in "$name-FORWARD" "$name-INPUT"; do
        if has "-N $chain"; then
            printf '%s\n' "-F $chain" "-X $chain"
        fi
    done
}

for tables in iptables ip6tables; do
    if [ "$tables" = ip6tables ] && [ ! -e /proc/net/if_inet6 ]; then
        continue
    fi
    rules_now=$("$tables" -w -S)
    {
        echo '*filter'
        if [ -e "$directory/$tables.rules" ]; then
            put "$directory/$tables.rules"
        else
            take_away
        fi
        echo COMMIT
    } | "$tables-restore" -w --noflush
done
