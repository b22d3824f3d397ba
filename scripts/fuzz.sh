#!/usr/bin/env bash
# Runs every fuzz target of a build for some seconds, from the inputs kept in tests/fuzz/corpus and those found before.
# An input that crashes a reader stays in BUILD/crashes; when it is mended, keep it in tests/fuzz/corpus/NAME.
# Usage: scripts/fuzz.sh BUILD SECONDS
set -euo pipefail
build=$1
seconds=$2
failed=()

for fuzzer in "$build"/bin/*_fuzz; do
  [ -x "$fuzzer" ] || { echo "no fuzz target in $build/bin; build them first" >&2; exit 1; }
  name=$(basename "$fuzzer" _fuzz)
  echo "== $name, $seconds s"
  mkdir -p "$build/corpus/$name" "$build/crashes/$name"
  "$fuzzer" "$build/corpus/$name" "tests/fuzz/corpus/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -malloc_limit_mb=1024 -artifact_prefix="$build/crashes/$name/" -print_final_stats=1 -verbosity=0 ||
    failed+=("$name")
done

if [ "${#failed[@]}" -gt 0 ]; then
  echo "crashed: ${failed[*]} (the inputs are in $build/crashes)" >&2
  exit 1
fi
