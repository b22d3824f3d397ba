#!/usr/bin/env bash
# A program outside the tree builds and runs on the installed library: by CMake, and by pkg-config. The installed
# folder may move, and names neither the source nor the build folder. As part of another project, no option leaks.
# Usage: tests/install_test.sh BUILD
set -euo pipefail
build=$1
source=$(cd "$(dirname "$0")/.." && pwd)
program=$source/examples/hello_train.cpp
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/moved"
prefix=$work/moved
if grep -rF -e "$source" -e "$work/first" "$prefix/lib/cmake" "$prefix/lib/pkgconfig"; then
  echo "the installed files name folders of this machine" >&2
  exit 1
fi

echo "== by CMake"
cmake -S "$source/tests/consumer" -B "$work/cmake" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" -DPROGRAM="$program" >/dev/null
cmake --build "$work/cmake"
"$work/cmake/consumer"

echo "== by pkg-config"
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
# shellcheck disable=SC2046 # the flags are words
g++ "$program" -o "$work/consumer" $(pkg-config --cflags --libs tessera) -Wl,-rpath,"$prefix/lib"
"$work/consumer"

echo "== the command finds its library beside it"
env -u LD_LIBRARY_PATH "$prefix/bin/tessera" help >/dev/null

echo "== as a part of another project"
cmake -S "$source/tests/consumer" -B "$work/part" -G Ninja -DTESSERA_SOURCE="$source" -DPROGRAM="$program" >/dev/null
command=$(awk -v RS='}' '/hello_train/ && /"command"/' "$work/part/compile_commands.json")
if [ -z "$command" ] || grep -E -e '-W(all|error|extra)|-ffp-contract|-fopenmp|TESSERA_HAVE' <<<"$command"; then
  echo "options of the library reach a program that uses it" >&2
  exit 1
fi
