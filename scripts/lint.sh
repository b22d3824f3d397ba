#!/usr/bin/env bash
# Checks the form of every C++ source of the tree: clang-format (.clang-format), then clang-tidy (.clang-tidy).
# Usage: scripts/lint.sh BUILD, a folder configured with clang++ that holds compile_commands.json
set -euo pipefail
build=$1

git ls-files -z '*.cpp' '*.hpp' | xargs -0 clang-format-19 --dry-run -Werror
# The folder's commands name every source that is built, those of the tests included.
awk -F '"' '$2 == "file" { print $4 }' "$build/compile_commands.json" | sort -u |
  xargs -P "$(nproc)" -n 1 clang-tidy-19 -p "$build" --quiet --warnings-as-errors='*'
echo "lint: clean"
