#!/usr/bin/env bash
# The command from outside: exit codes, what goes to standard output, a run killed at any moment and resumed.
# Usage: command_test.sh PATH_OF_TESSERA
# shellcheck source=tests/cli/shell.sh
source "$(dirname "$0")/shell.sh"

json() { python3 -c 'import json,sys; json.load(open("out"))' 2>/dev/null || ! command -v python3 >/dev/null || fail "no JSON: $(head -c 300 out)"; }

# Pictures of 8 x 8 in two classes: dark ones and bright ones.
be32() { printf "\\x$(printf %02x $(($1 >> 24 & 255)))\\x$(printf %02x $(($1 >> 16 & 255)))\\x$(printf %02x $(($1 >> 8 & 255)))\\x$(printf %02x $(($1 & 255)))"; }
make_set() {
  local prefix=$1 count=$2
  { printf '\0\0\x08\x03'; be32 "$count"; be32 8; be32 8; for ((i = 0; i < count; ++i)); do head -c 64 /dev/zero | tr '\0' "$([ $((i % 2)) = 0 ] && echo '\12' || echo '\310')"; done; } >"set/$prefix-images-idx3-ubyte"
  { printf '\0\0\x08\x01'; be32 "$count"; for ((i = 0; i < count; ++i)); do [ $((i % 2)) = 0 ] && printf '\0' || printf '\1'; done; } | gzip >"set/$prefix-labels-idx1-ubyte.gz"
}
mkdir set
make_set train 40
make_set t10k 10
small=(--data set --set train.batch=8 --set data.classes='["dark", "bright"]' --set model.channels=[2] --set model.hidden=[4])

# Usage and help.
expect 0 'Verbs:' "$tessera" help
expect 0 '^Examples:' "$tessera" help train
expect 0 '^Examples:' "$tessera" run --help
expect 2 'no verb' "$tessera" help nonsense
expect 2 'nonsense' "$tessera" nonsense
expect 2 'RECIPE is required' "$tessera" train
expect 2 "did you mean 'train.epochs'" "$tessera" train mlp --set train.epoch=1
expect 2 'the built-in recipes are' "$tessera" train nothing-like-this
expect 1 'dataset-fashion-mnist' "$tessera" train mlp --data nowhere
expect 2 "'train.batch' is 41" "$tessera" train fashion-cnn "${small[@]}" --batch 41
expect 3 'cuda' "$tessera" --device cuda:77 train fashion-cnn "${small[@]}"
[ ! -e runs ] || fail "a refused run left a folder"
expect 0 'fashion-cnn' "$tessera" recipes
expect 0 '"recipes"' "$tessera" recipes --json; json
expect 0 'channels' "$tessera" recipes lenet
expect 0 'cpu' "$tessera" devices
expect 0 '"devices"' "$tessera" --json devices; json

# A run, and what is done with it.
expect 0 '"test_accuracy"' "$tessera" train fashion-cnn "${small[@]}" --epochs 4 --out whole --json --quiet; json
[ ! -s err ] || fail "--quiet says: $(cat err)"
expect 2 'holds a run already' "$tessera" train fashion-cnn "${small[@]}" --epochs 4 --out whole
expect 0 'accuracy' "$tessera" eval whole
expect 0 '"accuracy"' "$tessera" eval whole --split train --json; json
expect 2 "no split 'valid'" "$tessera" eval whole --split valid
printf '\x93NUMPY\x01\0\x46\0%-69s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (8, 8)}" >bright.npy
head -c 64 /dev/zero | tr '\0' '\310' >>bright.npy
expect 0 'bright.npy: ' "$tessera" predict whole bright.npy
expect 0 '"probability"' "$tessera" predict whole bright.npy --json; json
expect 1 'is neither a PNG' "$tessera" predict whole bright.npy err
rm whole/report.html
expect 0 'report.html' "$tessera" report whole
[ -s whole/report.html ] || fail "no report"
expect 1 'holds no run' "$tessera" report set

# Killed at any moment and resumed, the weights are those of the run that was not.
for delay in 0.05 0.15 0.3 0.5 0.7; do
  "$tessera" train fashion-cnn "${small[@]}" --epochs 4 --out killed --resume --quiet --set train.checkpoint_every=0.2 2>/dev/null &
  pid=$!
  sleep "$delay"
  kill_now
done
expect 0 '' "$tessera" train fashion-cnn "${small[@]}" --epochs 4 --out killed --resume --set train.checkpoint_every=0.2
cmp {whole,killed}/checkpoints/step-00000020/model.safetensors || fail "the resumed run has other weights"

# A program in text.
cat >add.mlir <<'PROGRAM'
func.func @main(%a: tensor<2xf32>) -> tensor<2xf32> {
  %0 = stablehlo.add %a, %a : tensor<2xf32>
  return %0 : tensor<2xf32>
}
PROGRAM
printf '\x93NUMPY\x01\0\x46\0%-69s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}" >x.npy
printf '\0\0\x80\x3f\0\0\0\x40' >>x.npy
expect 0 'dense<\[2.*4' "$tessera" run add.mlir --input x.npy
expect 0 '"files"' "$tessera" run add.mlir --input x.npy --output results --json --repeat 3; json
[ -s results/0.npy ] || fail "no result file"
expect 2 'takes 1 inputs, but 0' "$tessera" run add.mlir
expect 1 'is no NPY file' "$tessera" run add.mlir --input add.mlir
sed 's/stablehlo.add/stablehlo.nonsense/' add.mlir >bad.mlir
"$tessera" run bad.mlir --input x.npy >out 2>err && fail "nonsense ran"
grep -q 'bad.mlir:2' err || fail "no place in: $(cat err)"
expect 0 '"rows"' "$tessera" bench mlp --batch 4 --seconds 0.01 --json; json
echo "the command: all checks passed"
