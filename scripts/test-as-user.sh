#!/usr/bin/env bash
# Runs the specs as a user who owns nothing: `sudo bash scripts/test-as-user.sh`, after `npm install`.
#
# The user is made for the run, has the system's python3, and gets a read-only copy of the build: the clone itself may lie
# under a directory that others cannot enter.
set -euo pipefail
cd "$(dirname "$0")/.."

user="buntime-ci-$$"
place="$(mktemp -d /tmp/buntime-ci-XXXXXX)"
cleanup() {
  rm -rf "$place"
  userdel --remove "$user" 2>/dev/null || true
}
trap cleanup EXIT

useradd --create-home --shell /bin/sh "$user"
chmod 755 "$place"
for name in package.json index.js index.d.ts binding.js binding.d.ts bin npm scripts policies examples __test__ node_modules src; do
  [ ! -e "$name" ] || cp -a "$name" "$place/"
done
[ ! -e target/clients ] || cp -a target/clients "$place/clients"
chown -R root:root "$place"
chmod -R go=rX "$place"

# Node may be installed below root's home; a copy of the program is all that is needed.
node="$(node -p process.execPath)"
install -m 755 "$node" "$place/node"

cd "$place"
setpriv --reuid "$user" --regid "$user" --clear-groups \
  env -i HOME="/home/$user" USER="$user" LANG=C.UTF-8 PATH="/usr/local/bin:/usr/bin:/bin" \
  BUNTIME_TEST_CLIENTS="$place/clients/bin/python3" \
  "$place/node" scripts/test.mjs node bun "$@" </dev/null
