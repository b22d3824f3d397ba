#!/usr/bin/env bash
# The whole way once, small: train on a twentieth of Fashion-MNIST, evaluate, predict, resume, be refused.
# Usage: tests/cli/train_test.sh TESSERA
set -euo pipefail
tessera=$1
work=$(mktemp -d)
first=  # a process in the background
trap '[ -z "$first" ] || kill -KILL "$first"; rm -rf "$work"' EXIT
export TESSERA_CACHE=$work/cache
run=$work/run

fail() { echo "FAILED: $*" >&2; exit 1; }
# The number of a key on the top level of a JSON object.
number() { grep -oE "\"$1\": *[0-9.e+-]+" "$2" | head -n 1 | sed 's/.*: *//'; }
at_least() { awk -v value="$1" -v bound="$2" 'BEGIN { exit !(value >= bound) }' || fail "$3: $1, wanted at least $2"; }
exits() {
  local wanted=$1 got=0
  shift
  "$@" >"$work/out" 2>"$work/err" || got=$?
  [ "$got" -eq "$wanted" ] || fail "exit code $got instead of $wanted: $* : $(cat "$work/err")"
}

"$tessera" train mlp --out "$run" --epochs 0.05 --seed 1
for file in config.toml metrics.jsonl summary.json report.html; do [ -s "$run/$file" ] || fail "no $file"; done
ls "$run"/checkpoints/step-*/_SUCCESS >/dev/null || fail "no complete checkpoint"
accuracy=$(number test_accuracy "$run/summary.json")
at_least "$accuracy" 0.6 "accuracy on the test pictures"

"$tessera" eval "$run" --json >"$work/eval.json"
grep -q "$accuracy" "$work/eval.json" || fail "eval says something else than summary.json: $(cat "$work/eval.json")"

exits 2 "$tessera" train mlp --out "$run" --epochs 0.05   # holds a run already
grep -q "$run" "$work/err" || fail "the refusal does not name the folder"
exits 0 "$tessera" train mlp --out "$run" --epochs 0.05 --seed 1 --resume

# One process at a time in a folder; one that is killed leaves it free.
shared=$work/shared
train_there=("$tessera" train mlp --out "$shared" --epochs 40 --seed 1 --resume --set train.checkpoint_every=0.02)
"${train_there[@]}" >"$work/first" 2>&1 &
first=$!
waited=0
until ls "$shared"/checkpoints/step-*/_SUCCESS >/dev/null 2>&1; do
  kill -0 "$first" 2>/dev/null && [ $((waited += 1)) -le 1200 ] || fail "no checkpoint: $(cat "$work/first")"
  sleep 0.05
done
kill -STOP "$first"
exits 2 "${train_there[@]}"
grep -q "$shared: another process trains there" "$work/err" || fail "the refusal says: $(cat "$work/err")"
kill -KILL "$first"
wait "$first" 2>/dev/null || true
first=
exits 0 "${train_there[@]}" --max-time 1s
grep -q "goes on from step" "$work/out" "$work/err" || fail "the killed run did not go on: $(cat "$work/err")"

exits 2 "$tessera" train no-such-recipe
exits 2 "$tessera" train mlp --set optimizer.speed=1
exits 1 "$tessera" predict "$run" "$work/missing.png"
exits 2 "$tessera" fly
exits 3 "$tessera" train mlp --out "$work/other" --device nowhere
[ ! -e "$work/other" ] || fail "a run that never began left a folder"
