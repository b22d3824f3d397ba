#!/usr/bin/env bash
# Holds the shape of the tree: which folder may include which, who may name a backend, which headers stay light, and
# that a file opens by saying what it is and can be read in one sitting.
set -euo pipefail
cd "$(dirname "$0")/.."

# In the order of dependence: a folder includes itself and those before it.
order="core kernel ir transform pass backend array nn optim data train parallel"
find . -path ./build -prune -o \( -name '*.cpp' -o -name '*.hpp' -o -name '*.def' -o -name '*.py' \) -printf '%P\0' |
  sort -z | xargs -0 awk -v order="$order" '
    function complain(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; failed = 1 }

    BEGIN {
      count = split(order, folders, " ")
      for (i = 1; i <= count; ++i) rank[folders[i]] = i
    }
    FNR == 1 {
      split(FILENAME, path, "/")
      in_library = path[1] == "tessera"
      folder = in_library && path[3] != "" ? path[2] : ""
      if (folder != "" && !(folder in rank)) complain("the folder " folder " has no place in the order: " order)
      if (FILENAME ~ /\.(cpp|hpp|def)$/ && $0 !~ /^\/\/ /) complain("begin with a // line that says what the file is")
    }
    FNR == 801 { complain("longer than 800 lines: split it") }
    $1 == "#include" && $2 ~ /^"/ && in_library {
      if ($2 !~ /^"tessera\//) complain("include as \"tessera/...\"")
      split(substr($2, 2), target, "/")
      if (folder != "" && target[2] in rank && rank[target[2]] > rank[folder])
        complain(folder "/ comes before " target[2] "/ and must not include it")
      if (folder != "" && target[2] == "tessera.hpp\"") complain("include what is used, not tessera.hpp")
      may_name_backend = folder == "backend" && (path[4] != "" || path[3] == "registry.cpp")
      if (target[2] == "backend" && target[4] != "" && !may_name_backend)
        complain("only backend/registry.cpp names a backend")
    }
    $1 == "#include" && in_library && FILENAME ~ /\.hpp$/ && !(folder == "backend" && path[4] != "") &&
      $2 ~ /[<"](fmt|spdlog|nlohmann|CLI|toml\+\+|llvm|dnnl|omp|zlib|png|jpeglib|sentencepiece_[a-z]+)[.\/]/ {
      complain("a public header stays light: include " $2 " in the source")
    }
    END { exit failed }'
