#!/bin/sh
# For a wezterm.lua that says `require 'wezterm_parallel'`: puts a small wezterm_parallel.lua beside it, which
# loads the plugin from this checkout. Your wezterm.lua is never changed.

set -eu

usage='usage: install-wezterm-config.sh [--dry-run] [--write] [--uninstall]

  --dry-run    only say what would be done
  --write      also write a wezterm.lua, if you have none at all
  --uninstall  take away what this script has put, and bring back what it had replaced'

dry='' write='' uninstall=''
for argument; do
  case $argument in
    -n | --dry-run) dry=1 ;;
    --write) write=1 ;;
    --uninstall) uninstall=1 ;;
    -h | --help)
      printf '%s\n' "$usage"
      exit 0
      ;;
    *)
      printf '%s\n' "$usage" >&2
      exit 2
      ;;
  esac
done

say() { printf '%s\n' "$*"; }
fail() {
  say "error: $1" >&2
  exit 1
}
# does something, or says that it would
do_it() {
  what=$1
  shift
  if [ -n "$dry" ]; then
    say "would have $what"
  else
    "$@"
    say "$what"
  fi
}

case ${HOME:-} in
  /*) ;;
  *) fail 'HOME is not set to an absolute path' ;;
esac
root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
[ -f "$root/plugin.lua" ] || fail "$root is no checkout of wezterm-parallel: it has no plugin.lua"
case ${XDG_CONFIG_HOME:-} in
  /*) directory=$XDG_CONFIG_HOME/wezterm ;;
  *) directory=$HOME/.config/wezterm ;;
esac
shim=$directory/wezterm_parallel.lua
config=$directory/wezterm.lua
mark='-- Written by install-wezterm-config.sh of wezterm-parallel, and removed by its --uninstall.'

# text of Lua between double quotes
quoted=$(printf '%s' "$root/plugin.lua" | sed 's/\\/\\\\/g; s/"/\\"/g')
case $quoted in
  *'
'*) fail "the path of this checkout has a line break in it: $root" ;;
esac
shim_text="$mark
return dofile \"$quoted\""
config_text="$mark
local wezterm = require 'wezterm'
local config = wezterm.config_builder()
local multi_dev = require 'wezterm_parallel'
multi_dev.setup(config, { auto_start = true })
return config"

ours() { [ -f "$1" ] && [ "$(head -n 1 "$1")" = "$mark" ]; }
same() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

put() {
  mkdir -p -- "$directory"
  printf '%s\n' "$2" >"$1.$$"
  mv -f -- "$1.$$" "$1"
}

# the newest of those that were put aside
backup_of() {
  newest=
  for file in "$1".backup-*; do
    if [ -e "$file" ] || [ -L "$file" ]; then newest=$file; fi
  done
  say "$newest"
}

if [ -n "$uninstall" ]; then
  if ours "$shim"; then
    do_it "removed $shim" rm -f -- "$shim"
    backup=$(backup_of "$shim")
    [ -z "$backup" ] || do_it "brought back $shim" mv -- "$backup" "$shim"
  elif [ -e "$shim" ]; then
    say "left $shim: it is not from here"
  else
    say 'nothing is installed'
  fi
  if same "$config" "$config_text"; then
    do_it "removed $config" rm -f -- "$config"
  elif [ -f "$config" ] && grep -q wezterm_parallel "$config"; then
    say "left $config, which is yours and still says require 'wezterm_parallel': take that out"
  fi
  exit 0
fi

if same "$shim" "$shim_text"; then
  say "$shim is there already"
else
  if { [ -e "$shim" ] || [ -L "$shim" ]; } && ! ours "$shim"; then
    aside=$shim.backup-$(date +%Y%m%d-%H%M%S)
    while [ -e "$aside" ] || [ -L "$aside" ]; do aside=$aside+; done
    do_it "put aside $shim as $aside" mv -- "$shim" "$aside"
  fi
  do_it "written $shim" put "$shim" "$shim_text"
fi

# the first one that is there is what WezTerm reads
existing=
for file in "${WEZTERM_CONFIG_FILE:-}" "$HOME/.wezterm.lua" "$config"; do
  if [ -n "$file" ] && [ -z "$existing" ] && { [ -e "$file" ] || [ -L "$file" ]; }; then existing=$file; fi
done
if [ -n "$existing" ] && grep -q "require *(*['\"]wezterm_parallel['\"]" "$existing" 2>/dev/null; then
  say "$existing loads it already"
elif [ -z "$existing" ] && [ -n "$write" ]; then
  do_it "written $config" put "$config" "$config_text"
else
  [ -z "$write" ] || say "left $existing as it is: it is yours"
  say
  say "Put this into ${existing:-$config}, before \`return config\`:"
  say
  say "  local multi_dev = require 'wezterm_parallel'"
  say '  multi_dev.setup(config, { auto_start = true })'
fi
if [ ! -x "$HOME/.local/bin/wezterm-parallel" ] && ! command -v wezterm-parallel >/dev/null; then
  say
  say "The executable is not installed yet: $root/plugin/bin/install.sh does that, or the plugin, from its palette."
fi
