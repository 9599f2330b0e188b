# shellcheck shell=bash
# Sourced by the scripts beside it: what needs root says so, and goes through sudo where root is not at hand.

say() { printf '%s: %s\n' "${0##*/}" "$*"; }

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

as_root() {
  if [ "$EUID" -eq 0 ]; then
    "$@"
    return
  fi
  command -v sudo >/dev/null || fail "needs root for: $*. Run this once as root, or install sudo."
  say "as root: $*" >&2
  sudo -- "$@"
}
