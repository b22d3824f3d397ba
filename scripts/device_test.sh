#!/usr/bin/env bash
# What a GPU has to show, from the folder that `make device-test` packs; the machine needs a driver and nothing of ours.
# Usage: device_test.sh correct|speed OUT
#   correct  the case table and the training tests on the GPU; every recipe trained there for a little while
#   speed    against PyTorch and JAX where python3 has them (bench/run.py), `tessera bench` on the CPU and the GPU, and
#            time to accuracy of the recipe fashion-cnn
# OUT gets a text for each; the exit code is 1 when one failed.
set -uo pipefail
part=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)
data=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
[ -d "$here/fashion-mnist" ] && data=$here/fashion-mnist
mkdir -p "$out"
failed=()

# run NAME COMMAND...: the command's text to OUT/NAME.txt, its end to the terminal.
run() {
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$out/$name.txt" 2>&1; then echo "passed  $name ($((SECONDS - start)) s)"; else
    echo "FAILED  $name ($((SECONDS - start)) s)"
    tail -n 5 "$out/$name.txt"
    failed+=("$name")
  fi
}

sharded() {
  local shard jobs=() status=0
  for ((shard = 0; shard < GTEST_TOTAL_SHARDS; ++shard)); do
    GTEST_SHARD_INDEX=$shard "$1" --gtest_brief=1 &
    jobs+=($!)
  done
  for shard in "${jobs[@]}"; do wait "$shard" || status=1; done
  return $status
}

tessera=$here/bin/tessera
run devices "$tessera" devices
case $part in
  correct)
    export TESSERA_TEST_DEVICE=cuda
    # In shards side by side, each with a context of its own: a kernel that fails ends its context.
    export GTEST_TOTAL_SHARDS=8
    for test in "$here"/tests/*_test; do
      run "$(basename "$test")" sharded "$test"
    done
    for recipe in mlp lenet fashion-cnn; do
      run "train_$recipe" "$tessera" train "$recipe" --device cuda --data "$data" --epochs 2 --out "$out/runs/$recipe"
    done
    ;;
  speed)
    if python3 -c 'import torch, jax' 2>"$out/peers.txt"; then
      # torch.compile looks for its kernels for minutes: it comes last, so that nothing waits for it.
      peers() {
        python3 "$here/bench/run.py" --device cuda --contestant "$here/bench/contestant" --seconds 0.2 "$@"
      }
      run peers peers --peer torch_channels_last --peer torch_graph --peer jax --out "$out/RESULTS-cuda.md"
    fi
    run bench_both "$tessera" bench --device all --seconds 1
    for precision in f32 bf16; do
      run "time_to_accuracy_$precision" "$tessera" train fashion-cnn --device cuda --data "$data" \
        --set "train.precision=\"$precision\"" --out "$out/runs/fashion-cnn-$precision"
    done
    run bench_large "$tessera" bench --device cuda --batch 128,1024,4096,16384 --precision f32,tf32,bf16 --seconds 0.3
    if declare -F peers >/dev/null; then
      run peers_compile peers --peer torch_channels_last --peer torch_compile --out "$out/RESULTS-cuda-compile.md"
    fi
    ;;
  *) echo "device_test.sh: the part is correct or speed, not $part" >&2; exit 2 ;;
esac
if [ "${#failed[@]}" -gt 0 ]; then
  echo "failed: ${failed[*]}"
  exit 1
fi
