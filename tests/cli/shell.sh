# What the tests of the command share. They source it in the folder in which they were started, with the path of
# tessera as their first argument; it goes on in a folder of its own, which is gone at the end.
# shellcheck shell=bash
set -euo pipefail
# shellcheck disable=SC2034 # for those who source this
tessera=$(realpath "$1")
work=$(mktemp -d)
pid=  # a process in the background, while there is one
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAILED: $*" >&2; exit 1; }
# expect CODE PATTERN COMMAND...: the exit code, and a pattern on standard error or output
expect() {
  local code=$1 pattern=$2 got=0
  shift 2
  "$@" >out 2>err || got=$?
  [ "$got" = "$code" ] || { cat out err >&2; fail "exit code $got, not $code: $*"; }
  grep -q -- "$pattern" out err || { cat out err >&2; fail "no '$pattern' from: $*"; }
}
# wait_for_checkpoint RUN LOG: until process $pid has written one
wait_for_checkpoint() {
  local waited=0
  until ls "$1"/checkpoints/step-*/_SUCCESS >/dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null && [ $((waited += 1)) -le 1200 ] || fail "no checkpoint: $(cat "$2")"
    sleep 0.02
  done
}
# kill_now: ends process $pid
kill_now() {
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  pid=
}
