# shellcheck shell=bash
# Sourced by scripts: what needs root is announced, and runs under sudo where the user is not root.
# NO_PASSWORD_PROMPT, set by a script whose steps run in the background, has sudo fail instead of asking for a password.

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
  sudo ${NO_PASSWORD_PROMPT:+--non-interactive} -- "$@"
}

# apt fails where another apt holds its locks: scripts that run side by side take turns.
apt_lock=$(realpath "${BASH_SOURCE[0]}")

# One update an hour is enough for all of them.
apt_update() (
  flock 8
  lists=/var/lib/apt/lists
  [ -n "$(find "$lists" -maxdepth 0 -mmin -60)" ] && [ -n "$(find "$lists" -name '*_Packages*' -print -quit)" ] ||
    as_root apt-get update -q
) 8<"$apt_lock"

apt_install() ( # package...
  apt_update
  flock 8
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "$@"
) 8<"$apt_lock"
