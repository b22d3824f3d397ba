#!/usr/bin/env bash
# `tessera corpus` from outside: what it prints, its exit codes, that a corpus is there whole or not at all.
# Usage: corpus_test.sh PATH_OF_TESSERA
root=$(realpath "$(dirname "$0")/../corpora/root")
# shellcheck source=tests/cli/shell.sh
source "$(dirname "$0")/shell.sh"

expect 0 '^Examples:' "$tessera" help corpus
expect 2 'NAME is required' "$tessera" corpus
expect 2 'there are libreoffice-help, wesnoth, sword' "$tessera" corpus opus --source en --target de --out c
expect 3 'apt-get install --no-install-recommends libreoffice-help-fr$' \
  "$tessera" corpus libreoffice-help --source en --target fr --out c --root "$root"
[ ! -e c ] || fail "a corpus of missing packages left a folder"
expect 0 '^train  *[0-9]* pairs of [0-9]* documents$' \
  "$tessera" corpus libreoffice-help --source en --target de --out c --root "$root"
[ ! -s out ] || fail "people read standard error"
for file in train.en train.de valid.en valid.de test.en test.de about.txt; do [ -s "c/$file" ] || fail "no $file"; done
[ "$(wc -l <c/train.en)" = "$(wc -l <c/train.de)" ] || fail "unequal files"
expect 2 'is there already' "$tessera" corpus libreoffice-help --source en --target de --out c --root "$root"
expect 0 '"pairs"' "$tessera" corpus wesnoth --source en --target de --out deep/er/w --root "$root" --json
[ ! -s err ] || fail "--json says: $(cat err)"

# Killed at any moment: all of it or nothing.
for delay in 0 0.002 0.005 0.01 0.02 0.05; do
  "$tessera" corpus libreoffice-help --source en --target de --out killed --root "$root" --quiet 2>/dev/null &
  pid=$!
  sleep "$delay"
  kill_now
  [ ! -e killed ] || { diff -r killed c || fail "half a corpus"; rm -r killed; }
done
echo "the corpora: all checks passed"
