#!/usr/bin/env bash
# In a container of the hosts' distribution: fetches the packages that are named, and all that they depend on, into /packages, with an
# index for apt.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
# Who made the folder may delete what is in it, whatever happens.
trap 'chown -R --reference=/packages /packages' EXIT

apt-get update -q
# As if nothing was installed: a host may lack what this image has, or have it older.
touch /nothing-installed
mkdir -p /packages/partial
apt-get install -yq --no-install-recommends --download-only \
  -o Dir::State::status=/nothing-installed -o Dir::Cache::archives=/packages "$@"
rm -rf /packages/partial /packages/lock
apt-get install -yq --no-install-recommends apt-utils
cd /packages
apt-ftparchive packages . >Packages
