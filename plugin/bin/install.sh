#!/bin/sh
# Installs the executable that the plugin needs. The plugin runs it in a tab, when its user says so; it can
# be run by hand as well:
#
#   plugin/bin/install.sh [--yes]
#
# It is built from this checkout by cargo, or downloaded if plugin/checksums.txt has the sum of it. It goes to
# the same places as `wezterm-parallel up` puts it, and `wezterm-parallel uninstall` removes it. This checkout
# is not written to.

set -eu

usage='usage: install.sh [--yes]'
yes=
for argument; do
  case $argument in
    -y | --yes) yes=1 ;;
    -h | --help)
      echo "$usage"
      exit 0
      ;;
    *)
      echo "$usage" >&2
      exit 2
      ;;
  esac
done

# a GUI that was started from a dock has next to no PATH
PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin
export PATH

say() { printf '%s\n' "$*"; }

fail() {
  say "error: $1" >&2
  if [ $# -gt 1 ]; then say "hint: $2" >&2; fi
  exit 1
}

# the tab closes with this script: nobody could have read it
on_end() {
  code=$?
  [ -z "${fresh:-}" ] || rm -f "$fresh"
  if [ -t 0 ] && [ -t 1 ] && [ -z "$yes" ]; then
    printf '\nEnter closes this. '
    read -r _ || true
  fi
  exit "$code"
}
trap on_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

case ${HOME:-} in
  /*) ;;
  *) fail 'HOME is not set to an absolute path' ;;
esac
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || fail "$0 lies in no checkout"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" 2>/dev/null | head -n 1)
[ -n "$version" ] || fail "$root is no checkout of wezterm-parallel: its Cargo.toml has no version"
rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)

case ${XDG_DATA_HOME:-} in
  /*) data=$XDG_DATA_HOME/wezterm-parallel ;;
  *) data=$HOME/.local/share/wezterm-parallel ;;
esac
copy=$data/bin/$version/wezterm-parallel
link=$HOME/.local/bin/wezterm-parallel
build=$data/build

case $(uname -m) in
  x86_64 | amd64) machine=x86_64 ;;
  aarch64 | arm64) machine=aarch64 ;;
  *) machine=$(uname -m) ;;
esac
case $(uname -s) in
  Linux) target=$machine-unknown-linux-musl ;;
  Darwin) target=$machine-apple-darwin ;;
  *) fail "wezterm-parallel does not run on $(uname -s)" 'on Windows, build and run it in WSL' ;;
esac
asset=wezterm-parallel-$version-$target
sum=
if [ -f "$root/plugin/checksums.txt" ]; then
  sum=$(awk -v name="$asset" '$2 == name && length($1) == 64 { print $1; exit }' "$root/plugin/checksums.txt")
fi

# Where releases are: beside the repository that this checkout came from.
releases() {
  if [ -n "${WEZTERM_PARALLEL_RELEASES:-}" ]; then
    say "$WEZTERM_PARALLEL_RELEASES"
    return
  fi
  origin=$(git -C "$root" remote get-url origin 2>/dev/null) || return 1
  case $origin in
    https://*) say "${origin%.git}/releases/download" ;;
    git@*:*)
      host=${origin#git@}
      path=${host#*:}
      say "https://${host%%:*}/${path%.git}/releases/download"
      ;;
    *) return 1 ;;
  esac
}

find_cargo() {
  for candidate in "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" "$(command -v cargo || true)" \
    /opt/homebrew/bin/cargo /home/linuxbrew/.linuxbrew/bin/cargo; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      say "$candidate"
      return
    fi
  done
  return 1
}

url=
if [ -n "$sum" ] && base=$(releases); then
  url=$base/v$version/$asset
fi
cargo=
[ -n "$url" ] || cargo=$(find_cargo) || fail 'cargo is not installed, and this release has no executable to download' \
  "install Rust $rust or later (https://rustup.rs), then run this again"

say "This installs wezterm-parallel $version:"
if [ -n "$url" ]; then
  say "  download  $url"
  say "            (its SHA-256 must be $sum)"
else
  say "  build     $root"
  say "            by $cargo, in $build, which is removed afterwards; it takes some minutes"
fi
say "  put it to $copy"
say "  link it   $link"
if [ -z "$yes" ]; then
  [ -t 0 ] || fail 'nobody is there to agree' 'install.sh --yes does not ask'
  printf 'Go on? [Y/n] '
  read -r answer || answer=n
  case $answer in
    '' | y | Y | yes | Yes | YES) ;;
    *)
      say 'Nothing was done.'
      exit 1
      ;;
  esac
fi

umask 077
mkdir -p -- "${copy%/*}"
fresh=${copy%/*}/.wezterm-parallel.$$

sum_of() {
  if command -v sha256sum >/dev/null; then
    sha256sum <"$1"
  elif command -v shasum >/dev/null; then
    shasum -a 256 <"$1"
  else
    openssl dgst -sha256 -r <"$1"
  fi | cut -c 1-64
}

if [ -n "$url" ]; then
  if command -v curl >/dev/null; then
    curl --fail --location --progress-bar --output "$fresh" -- "$url" || fail "$url could not be downloaded"
  elif command -v wget >/dev/null; then
    wget -O "$fresh" -- "$url" || fail "$url could not be downloaded"
  else
    fail 'neither curl nor wget is installed' 'install one of them, then run this again'
  fi
  [ "$(sum_of "$fresh")" = "$sum" ] || fail "what came from $url is not what this release has: nothing was installed"
else
  command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null ||
    fail 'there is no C compiler, which the database needs' 'install gcc or clang (on macOS: xcode-select --install)'
  # cargo reads settings from where it runs, and a project may have its own; rustc lies beside cargo
  cd -- "$root"
  PATH=${cargo%/*}:$PATH CARGO_TARGET_DIR=$build "$cargo" build --release --locked \
    --manifest-path "$root/Cargo.toml" --bin wezterm-parallel ||
    fail 'it could not be built' "the reason stands above; Rust must be $rust or later (rustup update)"
  cp -- "$build/release/wezterm-parallel" "$fresh"
fi
chmod 755 "$fresh"
"$fresh" --version >/dev/null 2>&1 || fail "it does not run on this machine: nothing was installed"

# by name: whoever runs the old one keeps it
mv -f -- "$fresh" "$copy"
[ -n "$url" ] || rm -rf -- "$build"
say "put it to $copy"

(umask 022 && mkdir -p -- "${link%/*}")
if [ -L "$link" ] || [ ! -e "$link" ]; then
  case $(readlink -- "$link" 2>/dev/null || say "$data/bin/") in
    "$data/bin/"*)
      fresh=${link%/*}/.wezterm-parallel.$$
      ln -s -- "$copy" "$fresh"
      mv -f -- "$fresh" "$link"
      say "linked it as $link"
      ;;
    *) say "note: $link is not ours and is left as it is" ;;
  esac
else
  say "note: $link is not ours and is left as it is"
fi

say
say 'Done. The plugin finds it by itself within a few seconds.'
case :$PATH: in
  *":${link%/*}:"*) ;;
  *) say "To have it in a shell as well, put ${link%/*} on your PATH." ;;
esac
if "$copy" status >/dev/null 2>&1; then
  say 'A daemon runs already. To have it of this version, with every process going on:'
  say '  wezterm-parallel stop --keep && wezterm-parallel daemon'
fi
