"""Malformed requests by HTTP/3, which nginx has on Debian 13."""

import json

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper-edge13"]


@pytest.mark.parametrize(("path", "status"), [("/../x", 400), ("/%00", 400), ("/%zz", 400), ("/v1/models", 401)])
def test_malformed_requests_by_http3_too(host: Host, path: str, status: int) -> None:
    name = f"whisper.{host.ansible.get_variables()['site_domain']}"
    ask = "curl --silent --http3-only --insecure --path-as-is --resolve %s:443:127.0.0.1 --write-out %s %s"
    shown = host.check_output(ask, name, "\\n%{http_version} %{http_code}", f"https://{name}{path}")
    body, _, written = shown.rpartition("\n")
    assert written == f"3 {status}"
    assert json.loads(body)["error"].keys() == {"message", "type", "param", "code"}
