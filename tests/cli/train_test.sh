#!/usr/bin/env bash
# The whole way once, small: train on a twentieth of Fashion-MNIST, evaluate, predict, resume, be refused.
# Usage: tests/cli/train_test.sh TESSERA
# shellcheck source=tests/cli/shell.sh
source "$(dirname "$0")/shell.sh"
export TESSERA_CACHE=$work/cache
run=$work/run

# The number of a key on the top level of a JSON object.
number() { grep -oE "\"$1\": *[0-9.e+-]+" "$2" | head -n 1 | sed 's/.*: *//'; }
at_least() { awk -v value="$1" -v bound="$2" 'BEGIN { exit !(value >= bound) }' || fail "$3: $1, wanted at least $2"; }

"$tessera" train mlp --out "$run" --epochs 0.05 --seed 1
for file in config.toml metrics.jsonl summary.json report.html; do [ -s "$run/$file" ] || fail "no $file"; done
ls "$run"/checkpoints/step-*/_SUCCESS >/dev/null || fail "no complete checkpoint"
accuracy=$(number test_accuracy "$run/summary.json")
at_least "$accuracy" 0.6 "accuracy on the test pictures"

expect 0 "$accuracy" "$tessera" eval "$run" --json
expect 2 "$run" "$tessera" train mlp --out "$run" --epochs 0.05  # holds a run already
expect 0 '' "$tessera" train mlp --out "$run" --epochs 0.05 --seed 1 --resume

# One process at a time in a folder; one that is killed leaves it free.
shared=$work/shared
train_there=("$tessera" train mlp --out "$shared" --epochs 40 --seed 1 --resume --set train.checkpoint_every=0.02)
"${train_there[@]}" >first 2>&1 &
pid=$!
wait_for_checkpoint "$shared" first
kill -STOP "$pid"
expect 2 "$shared: another process trains there" "${train_there[@]}"
kill_now
expect 0 'goes on from step' "${train_there[@]}" --max-time 1s

expect 2 'no-such-recipe' "$tessera" train no-such-recipe
expect 2 'speed' "$tessera" train mlp --set optimizer.speed=1
expect 1 'missing.png' "$tessera" predict "$run" missing.png
expect 2 'fly' "$tessera" fly
expect 3 'nowhere' "$tessera" train mlp --out other --device nowhere
[ ! -e other ] || fail "a run that never began left a folder"
