#!/usr/bin/env bash
# In a container of the hosts' distribution: fetches the wheels of /requirements.lock for its Python into /wheels.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive PIP_CERT=/etc/ssl/certs/ca-certificates.crt
# Who made the folder may delete what is in it, whatever happens.
trap 'chown -R --reference=/wheels /wheels' EXIT

apt-get update -q
apt-get install -yq --no-install-recommends ca-certificates python3-venv
python3 -m venv /venv
/venv/bin/pip download --disable-pip-version-check --no-cache-dir --progress-bar off --only-binary :all: \
  --require-hashes --requirement /requirements.lock --dest /wheels
