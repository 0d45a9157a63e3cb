#!/usr/bin/env bash
# Launch against bubblewrap: `bash benches/launch/run.sh`. Needs bwrap, cc, and the product's build (npm install).
set -euo pipefail
cd "$(dirname "$0")/../.."
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
chmod 755 "$place"
cc -O2 -static -o "$place/stamp" benches/launch/stamp.c
cargo build --quiet --release -p buntime-sandbox --example launch
cp "${CARGO_TARGET_DIR:-target}/release/examples/launch" "${BUNTIME_INIT_PATH:-npm/linux-x64-gnu/buntime-init}" "$place/"
helper="$place/$(basename "${BUNTIME_INIT_PATH:-buntime-init}")"
HELPER="$helper" STAMP="$place/stamp" "$place/launch"
if [ "$(id -u)" = 0 ]; then
  setpriv --reuid 65534 --regid 65534 --clear-groups env HELPER="$helper" STAMP="$place/stamp" "$place/launch"
fi
