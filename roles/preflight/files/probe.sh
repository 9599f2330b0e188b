#!/bin/sh
# Prints the facts that the checks before a deployment need, one per line: sockets, ports of sshd, free space, existing files.
set -eu
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

listeners=$(ss --no-header --listening --tcp --udp --numeric --processes)
printf '%s\n' "$listeners" | sed 's/^/listener /'

# Without a running sshd nobody can be locked out.
if settings=$(sshd -T 2>/dev/null); then
  printf '%s\n' "$settings" | sed -n 's/^port /sshd_port /p'
fi

free=$(df --block-size=1M --output=avail /var/lib)
printf '%s\n' "$free" | sed -n '$s/^ */free_mib /p'

for file in "$@"; do
  if [ -e "$file" ]; then printf 'file %s\n' "$file"; fi
done
