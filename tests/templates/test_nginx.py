"""What nginx is told."""

import json
import re

import pytest

from tests.templates.conftest import Render

TRIXIE = {"distribution": "Debian", "distribution_major_version": "13"}
BOOKWORM = {"distribution": "Debian", "distribution_major_version": "12"}
NOBLE = {"distribution": "Ubuntu", "distribution_major_version": "24"}
SITE = {"name": "whisper.example.com", "upstream": "127.0.0.1:8001", "certificate": "/etc/ssl/whisper.example.com"}


@pytest.mark.parametrize("facts", [BOOKWORM, NOBLE])
def test_older_nginx_takes_http2_as_a_parameter(render: Render, facts: dict[str, str]) -> None:
    site = render("nginx", "site.conf.j2", item=SITE, ansible_facts=facts)
    assert "listen 443 ssl http2;" in site
    assert "http2 on;" not in site


def test_newer_nginx_takes_http2_as_a_directive(render: Render) -> None:
    site = render("nginx", "site.conf.j2", item=SITE, ansible_facts=TRIXIE)
    assert "listen 443 ssl;" in site
    assert "http2 on;" in site


def test_a_site_passes_requests_on_unbuffered_and_without_the_credentials(render: Render) -> None:
    site = render(
        "nginx",
        "site.conf.j2",
        item=SITE,
        ansible_facts=TRIXIE,
        nginx_client_max_body_size="1G",
        nginx_proxy_read_timeout=1200,
    )
    for line in (
        "proxy_pass http://127.0.0.1:8001;",
        'proxy_set_header Authorization "";',
        "proxy_request_buffering off;",
        "proxy_buffering off;",
        "proxy_read_timeout 1200s;",
        "proxy_send_timeout 1200s;",
        "client_max_body_size 1G;",
        "include snippets/basic-auth.conf;",
        "ssl_certificate /etc/ssl/whisper.example.com/fullchain.pem;",
        "ssl_certificate_key /etc/ssl/whisper.example.com/privkey.pem;",
    ):
        assert f"    {line}\n" in site


def test_keys_are_compared_with_regard_to_case(render: Render) -> None:
    keys = [{"name": "laptop", "key": "A" * 32}, {"name": "phone", "key": "b-" * 16}]
    lines = render("nginx", "api-keys.map.j2", nginx_api_keys=keys).splitlines()
    assert f'"~^[Bb]earer +{"A" * 32} *$" "laptop";' in lines
    assert f'"~^[Bb]earer +{"b-" * 16} *$" "phone";' in lines


def test_without_keys_the_map_is_empty(render: Render) -> None:
    assert "Bearer" not in render("nginx", "api-keys.map.j2")


def test_users_have_a_line_each(render: Render) -> None:
    users = [{"name": "alice", "hash": "$6$salt$x"}, {"name": "bob", "hash": "$6$salt$y"}]
    assert render("nginx", "htpasswd.j2", nginx_basic_users=users) == "alice:$6$salt$x\nbob:$6$salt$y\n"


@pytest.mark.parametrize("origin", ["", "https://portal.example.com"])
def test_one_origin_or_none_may_call_from_a_browser(render: Render, origin: str) -> None:
    shared = render("nginx", "whisper-services.conf.j2", nginx_cors_origin=origin)
    origins = re.findall(r'^ +"(https.*)" \$http_origin;$', shared, re.MULTILINE)
    assert origins == ([origin] if origin else [])


def test_errors_are_openai_objects(render: Render) -> None:
    errors = render("nginx", "errors.conf.j2", nginx_client_max_body_size="7M")
    bodies = {int(status): json.loads(body) for status, body in re.findall(r"return (\d+) '(.*)\\n';", errors)}
    assert bodies.keys() == {400, 401, 413, 502, 504}
    for body in bodies.values():
        assert set(body["error"]) == {"message", "type", "param", "code"}
    assert "7M" in bodies[413]["error"]["message"]
    assert {
        int(status) for status in re.findall(r"^error_page (\d+) @error_\1;$", errors, re.MULTILINE)
    } == bodies.keys()


def test_basic_auth_is_the_snippet_of_the_guide(render: Render) -> None:
    snippet = render("nginx", "basic-auth.conf.j2")
    assert "auth_basic_user_file /etc/nginx/.htpasswd;" in snippet


def test_a_site_of_files_passes_nothing_on(render: Render) -> None:
    policy = "default-src 'none'; script-src 'self'"
    site = render(
        "nginx",
        "site.conf.j2",
        item={
            "name": "portal.example.com",
            "root": "/var/www/portal",
            "certificate": "/etc/ssl/portal.example.com",
            "content_security_policy": policy,
        },
        ansible_facts=TRIXIE,
    )
    assert "proxy_pass" not in site
    assert "    root /var/www/portal;\n" in site
    assert f'add_header Content-Security-Policy "{policy}" always;' in site
    assert "include snippets/basic-auth.conf;" in site
