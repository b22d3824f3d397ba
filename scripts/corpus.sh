#!/usr/bin/env bash
# Makes the corpus of `make translate`: LibreOffice's help pages in two languages, out of Debian's packages. These are
# only unpacked: installed, they would bring all of LibreOffice. Usage: scripts/corpus.sh TESSERA SOURCE TARGET OUT
set -euo pipefail
tessera=$1 source=$2 target=$3 out=$4
if [ -e "$out/about.txt" ]; then exit 0; fi

package() { [ "$1" = en ] && echo libreoffice-help-en-us || echo "libreoffice-help-$1"; }
packages=("$(package "$source")" "$(package "$target")")
echo "corpus: takes the text of the Debian packages ${packages[*]}"
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
chmod 755 "$unpacked"
download() { (cd "$unpacked" && apt-get download --quiet -o APT::Sandbox::User=root "${packages[@]}"); }
if ! download; then
  echo "corpus: asks apt-get update for a new list of packages" >&2
  if [ "$(id -u)" -eq 0 ]; then apt-get update --quiet; else sudo apt-get update --quiet; fi
  download
fi
for file in "$unpacked"/*.deb; do dpkg -x "$file" "$unpacked/root"; done
mkdir -p "$(dirname "$out")"
"$tessera" corpus libreoffice-help --source "$source" --target "$target" --out "$out" --root "$unpacked/root"
