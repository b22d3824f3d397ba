#!/usr/bin/env bash
# A translator from outside, small: trained on a made-up language, killed and resumed, evaluated; lines in, lines out.
# Usage: tests/cli/translate_test.sh TESSERA
# shellcheck source=tests/cli/shell.sh
source "$(dirname "$0")/shell.sh"

# One word after the other, in capital letters.
mkdir text
for split in train:300:1 valid:20:2 test:20:3; do
  IFS=: read -r name lines seed <<<"$split"
  awk -v lines="$lines" -v seed="$seed" 'BEGIN {
    srand(seed); count = split("red green blue cat dog sees", words, " ")
    for (i = 0; i < lines; ++i) {
      line = words[1 + int(rand() * count)]
      for (n = int(rand() * 3); n > 0; --n) line = line " " words[1 + int(rand() * count)]
      print line
    } }' >"text/$name.xx"
  tr a-z A-Z <"text/$name.xx" >"text/$name.yy"
done
small=(--data text --set data.source=xx --set data.target=yy --set data.vocabulary=320 --set data.buckets=1
       --set model.embedding=24 --set model.width=24 --set model.dropout=0 --batch 512 --set optimizer.rate=0.02
       --set train.evaluate_every=10 --set train.checkpoint_every=10 --epochs 60 --seed 1)

expect 0 '1 programs for sentences padded to' "$tessera" train translate "${small[@]}" --dry-run
expect 0 'test BLEU' "$tessera" train translate "${small[@]}" --out run
for file in config.toml metrics.jsonl summary.json report.html vocabulary.model; do [ -s "run/$file" ] || fail "no $file"; done
grep -q '"test_bleu"' run/summary.json || fail "no test_bleu"

# Killed after a checkpoint, resumed: the same bits.
"$tessera" train translate "${small[@]}" --out killed --quiet >log 2>&1 &
pid=$!
wait_for_checkpoint killed log
kill_now
expect 0 'test BLEU' "$tessera" train translate "${small[@]}" --out killed --resume
last=$(cd run/checkpoints && ls | tail -n 1)
for file in model state; do
  cmp "run/checkpoints/$last/$file.safetensors" "killed/checkpoints/$last/$file.safetensors" || fail "other bits: $file"
done

expect 0 '^BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:tessera-.* = ' "$tessera" eval run
grep -q '^chrF2|' out || fail "no chrF"
grep -q 'perplexity .* bits per byte' out || fail "no perplexity"
expect 0 '"bleu"' "$tessera" eval run --split valid --beam 1 --json

# As many lines come out as go in, in their order, whatever they hold.
{ printf 'red cat\n\nblue\r\n'; printf 'nul \0 here\n\xff\xfe\n   \n'; head -c 70000 /dev/zero | tr '\0' x; printf '\ndog\ngreen'; } >in
"$tessera" translate run <in >said 2>err || fail "translate: $(cat err)"
[ "$(wc -l <said)" = 9 ] || fail "$(wc -l <said) lines instead of 9"
[ "$(sed -n 1p said)" = "RED CAT" ] || fail "red cat is $(sed -n 1p said)"
[ "$(sed -n 2p said)" = "" ] || fail "an empty line is $(sed -n 2p said)"
[ "$(sed -n 3p said)" = "BLUE" ] || fail "blue is $(sed -n 3p said)"
[ "$(sed -n 7p said)" = "" ] || fail "a line that is too long is $(sed -n 7p said)"
[ "$(sed -n 8p said)" = "DOG" ] && [ "$(sed -n 9p said)" = "GREEN" ] || fail "dog, green are $(tail -n 2 said)"
grep -q 'first: line 7' err || fail "the line that was too long is not named: $(cat err)"
[ "$("$tessera" translate run --beam 1 </dev/null | wc -c)" = 0 ] || fail "nothing in, something out"

# Who writes a line and waits gets its translation.
coproc answer { "$tessera" translate run --beam 1 2>/dev/null; }
pid=$answer_PID
for word in red dog; do
  echo "$word" >&"${answer[1]}"
  read -r -t 60 line <&"${answer[0]}" || fail "no answer to $word"
  [ "$line" = "${word^^}" ] || fail "$word is $line"
done
exec {answer[1]}>&-
wait "$pid" || fail "the end of the input is exit code $?"
pid=

# Several translations of each line; pictures.
printf 'red cat\n\ndog\n' >in
"$tessera" translate run --nbest 3 --attention pictures.html <in >said 2>err || fail "translate --nbest: $(cat err)"
[ "$(cut -d' ' -f1 said | sort -n | uniq -c | tr -s ' \n' ' ')" = " 3 0 1 1 3 2 " ] || fail "not three of each: $(cat said)"
grep -q '^0 ||| RED CAT ||| -0[.]' said || fail "the best is not RED CAT: $(cat said)"
grep -q '^1 |||  ||| ' said || fail "no empty translation: $(cat said)"
[ "$(grep -c 'class="matrix alignment"' pictures.html)" -ge 1 ] || fail "no pictures"
expect 0 '"score"' sh -c "'$tessera' translate run --nbest 2 --json <in"
expect 1 'nowhere' sh -c "'$tessera' translate run --attention nowhere/a.html <in"

expect 2 'beam' "$tessera" translate run --beam 0
expect 1 'holds no run' "$tessera" translate text
expect 2 "are both 'xx'" "$tessera" train translate --data text --set data.source=xx --set data.target=xx --out no
expect 1 'zz' "$tessera" train translate --data text --set data.source=xx --set data.target=zz --out no
expect 1 'nowhere' "$tessera" train translate --data nowhere --out no
head -n 5 text/train.yy >short && mv short text/train.yy
expect 1 'has 300 lines' "$tessera" train translate "${small[@]}" --out no
expect 1 'piece\|model' env sh -c "printf broken >killed/vocabulary.model; '$tessera' translate killed </dev/null"
[ ! -e no ] || fail "a run that never began left a folder"
echo "the translator: all checks passed"
