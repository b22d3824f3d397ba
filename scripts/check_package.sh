#!/usr/bin/env bash
# The archive of `make package` is what it says: at most 30 MB; it asks the machine for glibc 2.36 and nothing else; it
# runs from any folder, a training included.
# Usage: scripts/check_package.sh ARCHIVE
set -euo pipefail
archive=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$archive: $1" >&2; exit 1; }

bytes=$(stat -c %s "$archive")
[ "$bytes" -le 30000000 ] || fail "$bytes bytes are more than 30 MB"
tar -xzf "$archive" -C "$work"
folder=$(echo "$work"/*)
export HOME=$work TESSERA_CACHE=$work/cache
unset LD_LIBRARY_PATH

for file in "$folder/bin/tessera" "$folder"/lib/*.so*; do
  newest=$(readelf --version-info --wide "$file" | grep -o 'GLIBC_2\.[0-9]*' | sort -Vu | tail -1)
  [ "$(printf '%s\nGLIBC_2.36\n' "$newest" | sort -V | tail -1)" = GLIBC_2.36 ] || fail "$file needs $newest"
done
outside=$(ldd "$folder/bin/tessera" | grep '=>' | grep -vF "=> $folder/" |
  grep -vE '(libc|libm|libdl|libpthread|librt)\.so' || true)
[ -z "$outside" ] || fail "libraries from outside of the archive: $outside"

"$folder/bin/tessera" train mlp --epochs 0.1 --out "$work/run" --quiet
[ -s "$work/run/report.html" ] || fail "the training left no report"
echo "$archive: $((bytes / 1000000)) MB, runs with glibc alone"
