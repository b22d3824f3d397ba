#!/usr/bin/env bash
# The peers of `make bench`, PyTorch and JAX, in a virtual environment under build/peers.
# The system's Python stays as it is. Done once: remove build/peers to have it made again, with newer versions.
set -euo pipefail
cd "$(dirname "$0")/.."

packages="torch jax numpy sentencepiece safetensors"
if [ -e build/peers/complete ] && [ "$(cat build/peers/complete)" = "$packages" ]; then exit 0; fi
if [ ! -e build/peers/complete ]; then
  echo "installing PyTorch and JAX into build/peers (several minutes, about 6 GB on disk)"
  rm -rf build/peers
  /usr/bin/python3 -m venv build/peers
fi
# shellcheck disable=SC2086  # a list
build/peers/bin/pip install --quiet --disable-pip-version-check --no-cache-dir $packages
build/peers/bin/python -c 'import torch, jax; print("PyTorch", torch.__version__, "JAX", jax.__version__)'
echo "$packages" >build/peers/complete
