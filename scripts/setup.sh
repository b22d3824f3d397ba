#!/usr/bin/env bash
# Installs the Debian packages of the groups given (scripts/packages.txt) that this machine lacks. Names them first;
# where none is missing it says nothing and asks no server.
set -euo pipefail
here=$(dirname "$0")

wanted=()
for group in "$@"; do
  mapfile -t -O "${#wanted[@]}" wanted < <(awk -v group="$group" '$1 == group { print $2 }' "$here/packages.txt")
done

if ! command -v dpkg-query >/dev/null; then
  echo "setup: not a Debian system. Going on; the build needs what these packages of Debian 12 hold: ${wanted[*]}" >&2
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || true
  [ "$status" = installed ] || missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then exit 0; fi

echo "setup: packages missing on this machine: ${missing[*]}"
if [ "$(id -u)" -eq 0 ]; then
  as_root=()
elif command -v sudo >/dev/null; then
  as_root=(sudo)
else
  echo "setup: this needs root, or sudo. As root, run: apt-get install ${missing[*]}" >&2
  exit 1
fi
"${as_root[@]}" apt-get update --quiet
if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install --yes --quiet --no-install-recommends "${missing[@]}"; then
  echo "setup: apt-get could not install them. Tessera builds on Debian 12, with its security updates (llvm-19)." >&2
  exit 1
fi
