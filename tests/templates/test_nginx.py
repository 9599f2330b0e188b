"""What nginx is told."""

import json
import re
from typing import Any

import pytest

from tests.templates.conftest import Evaluate, Render

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


def test_http3_where_nginx_has_it(render: Render) -> None:
    assert "listen 443 quic;" in render("nginx", "site.conf.j2", item=SITE, ansible_facts=TRIXIE)
    assert "listen 443 quic reuseport default_server;" in render(
        "nginx", "whisper-services.conf.j2", ansible_facts=TRIXIE
    )
    for template in ("site.conf.j2", "whisper-services.conf.j2", "headers.conf.j2"):
        text = render("nginx", template, item=SITE, ansible_facts=BOOKWORM)
        assert "quic" not in text
        assert "h3" not in text


@pytest.mark.parametrize(("port", "expected"), [(443, True), (8443, True), (0, False)])
def test_clients_are_told_of_http3_unless_it_is_behind_no_port(render: Render, port: int, expected: bool) -> None:
    headers = render("nginx", "headers.conf.j2", ansible_facts=TRIXIE, nginx_http3_port=port)
    assert (f"add_header Alt-Svc 'h3=\":{port}\"; ma=86400' always;" in headers) is expected


@pytest.mark.parametrize(("age", "expected"), [(63072000, True), (0, False)])
def test_strict_transport_security_can_be_left_out(render: Render, age: int, expected: bool) -> None:
    headers = render("nginx", "headers.conf.j2", ansible_facts=TRIXIE, nginx_hsts_max_age=age)
    shared = render("nginx", "whisper-services.conf.j2", ansible_facts=TRIXIE, nginx_hsts_max_age=age)
    assert ("add_header Strict-Transport-Security $strict_transport_security always;" in headers) is expected
    assert (f'    on      "max-age={age}";\n' in shared) is expected


@pytest.mark.parametrize(
    ("facts", "curves"),
    [(TRIXIE, "X25519MLKEM768:X25519:prime256v1:secp384r1"), (BOOKWORM, "X25519:prime256v1:secp384r1")],
)
def test_key_exchange_is_what_the_library_knows(render: Render, facts: dict[str, str], curves: str) -> None:
    main = render("nginx", "nginx.conf.j2", ansible_facts=facts)
    assert f"ssl_ecdh_curve {curves};" in main
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in main


def test_nothing_of_the_configuration_is_read_past_a_staged_copy(render: Render) -> None:
    for template in ("nginx.conf.j2", "whisper-services.conf.j2", "site.conf.j2"):
        includes = re.findall(
            r"^ *include (.*);$", render("nginx", template, item=SITE, ansible_facts=TRIXIE), re.MULTILINE
        )
        assert includes
        assert [include for include in includes if include.startswith("/")] == []


def test_a_site_has_its_limits_or_those_of_all(render: Render) -> None:
    limits = {
        "nginx_client_max_body_size": "1G",
        "nginx_proxy_read_timeout": 1200,
        "nginx_key_requests_per_second": 7,
        "nginx_address_requests_per_second": 3,
    }
    site = render("nginx", "site.conf.j2", item=SITE, ansible_facts=TRIXIE, **limits)
    own = {"client_max_body_size": "2G", "proxy_read_timeout": 30, "key_requests_per_second": 1}
    other = render("nginx", "site.conf.j2", item=SITE | own, ansible_facts=TRIXIE, **limits)
    for text, size, silence, rate in ((site, "1G", 1200, 7), (other, "2G", 30, 1)):
        for line in (
            f"    client_max_body_size {size};",
            f"    set $upload_limit {size};",
            f"    set $longest_silence {silence};",
            f"    proxy_read_timeout {silence}s;",
            f"    proxy_send_timeout {silence}s;",
            f"limit_req_zone $api_key_name zone=keys_of_whisper.example.com:1m rate={rate}r/s;",
            f"    limit_req zone=keys_of_whisper.example.com burst={2 * rate} nodelay;",
            "    limit_req zone=whisper_services_addresses burst=15 nodelay;",
        ):
            assert f"{line}\n" in text


def test_a_site_includes_what_it_needs_and_the_users_own(render: Render) -> None:
    site = render(
        "nginx", "site.conf.j2", item=SITE | {"snippet": "location /mine {\n  deny all;\n}\n"}, ansible_facts=TRIXIE
    )
    for line in (
        "    ssl_certificate /etc/ssl/whisper.example.com/fullchain.pem;",
        "    ssl_certificate_key /etc/ssl/whisper.example.com/privkey.pem;",
        "    include snippets/basic-auth.conf;",
        "        include snippets/whisper-services-proxy.conf;",
        "    server 127.0.0.1:8001;",
        "    keepalive_timeout 1s;",
        "        proxy_pass http://upstream.whisper.example.com;",
    ):
        assert f"{line}\n" in site
    assert site.endswith("    location /mine {\n      deny all;\n    }\n}\n")
    assert "snippet of the inventory" not in render("nginx", "site.conf.j2", item=SITE, ansible_facts=TRIXIE)


def test_requests_go_on_unbuffered_and_without_the_credentials(render: Render) -> None:
    lines = render("nginx", "proxy.conf.j2").splitlines()
    for line in (
        'proxy_set_header Authorization "";',
        "proxy_set_header X-Remote-User $client_name;",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "proxy_request_buffering off;",
        "proxy_buffering off;",
    ):
        assert line in lines


def test_named_addresses_may_ask_for_health(render: Render) -> None:
    shared = render(
        "nginx", "whisper-services.conf.j2", ansible_facts=TRIXIE, nginx_health_addresses=["192.0.2.1", "2001:db8::/64"]
    )
    assert "    192.0.2.1 open;\n    2001:db8::/64 open;\n" in shared
    assert " open;\n}\nmap" not in render("nginx", "whisper-services.conf.j2", ansible_facts=TRIXIE)


def test_users_are_known_by_their_exact_names(render: Render) -> None:
    users = [{"name": "alice.b", "hash": "$6$salt$x"}]
    shared = render("nginx", "whisper-services.conf.j2", ansible_facts=TRIXIE, nginx_basic_users=users)
    assert '    "~^alice\\.b$" "alice.b";\n' in shared


def server_blocks(configuration: str) -> list[str]:
    """The text of every server, up to its closing brace."""
    return re.findall(r"^server \{\n(.*?)^\}$", configuration, re.MULTILINE | re.DOTALL)


def test_whoever_asks_on_port_80_gets_the_acme_folder_and_nothing_else(render: Render) -> None:
    site = render("nginx", "site.conf.j2", item=SITE | {"aliases": ["speech.example.com"]}, ansible_facts=TRIXIE)
    servers = server_blocks(site) + server_blocks(render("nginx", "whisper-services.conf.j2", ansible_facts=TRIXIE))
    plain = [server for server in servers if "listen 80" in server]
    assert len(plain) == 2
    for server in plain:
        assert "    include snippets/whisper-services-acme.conf;\n" in server
        assert re.search(r"^    location / \{\n        return (301|444)", server, re.MULTILINE)
        assert not re.search(r"^    return", server, re.MULTILINE), "it would come before the ACME folder"
    assert site.count("server_name whisper.example.com speech.example.com;") == 2
    acme = render("nginx", "acme.conf.j2", nginx_acme_webroot="/srv/acme")
    assert "location ^~ /.well-known/acme-challenge/ {" in acme
    assert "    auth_basic off;\n" in acme
    assert "    root /srv/acme;\n" in acme


def test_keys_are_compared_with_regard_to_case(render: Render) -> None:
    keys = [{"name": "laptop", "key": "A" * 32}, {"name": "phone", "key": "b-" * 16}]
    lines = render("nginx", "api-keys.map.j2", nginx_api_keys=keys).splitlines()
    assert f'"~^[Bb]earer +{"A" * 32} *$" "laptop";' in lines
    assert f'"~^[Bb]earer +{"b-" * 16} *$" "phone";' in lines


def test_without_keys_the_map_is_empty(render: Render) -> None:
    assert "Bearer" not in render("nginx", "api-keys.map.j2")


def test_users_have_a_line_each(render: Render) -> None:
    users = [{"name": "alice", "hash": "$6$salt$x"}, {"name": "bob", "hash": "$6$salt$y"}]
    lines = render("nginx", "htpasswd.j2", nginx_basic_users=users).splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["alice:$6$salt$x", "bob:$6$salt$y"]


def test_a_file_of_no_users_is_not_empty(render: Render) -> None:
    # ansible.builtin.copy takes no empty content out of a variable.
    assert render("nginx", "htpasswd.j2", nginx_basic_users=[])


@pytest.mark.parametrize("origin", ["", "https://portal.example.com"])
def test_one_origin_or_none_may_call_from_a_browser(render: Render, origin: str) -> None:
    shared = render("nginx", "whisper-services.conf.j2", ansible_facts=TRIXIE, nginx_cors_origin=origin)
    origins = re.findall(r'^ +"(https.*)" \$http_origin;$', shared, re.MULTILINE)
    assert origins == ([origin] if origin else [])


def test_errors_are_openai_objects_or_pages(render: Render) -> None:
    errors = render("nginx", "errors.conf.j2", ansible_facts=TRIXIE)
    locations = dict(re.findall(r"^location (\S+|= \S+) \{$(.*?)^\}$", errors, re.MULTILINE | re.DOTALL))
    pages = re.findall(r"^error_page (\d+)(?: =(\d+))? (\S+)\$error_format;$", errors, re.MULTILINE)
    assert len(locations) == 2 * len(pages)
    for status, sent_as, page in pages:
        # One that may be said before there is an address: nothing but a whole one can be gone to then.
        named = page.startswith("@")
        assert named is (int(status) not in {400, 405, 411, 414, 421, 494, 497, 501, 505})
        as_object, as_page = (locations[f"{'' if named else '= '}{page}{form}"] for form in ("json", "html"))
        found = re.search(rf"return {sent_as or status} '(.*)\\n';", as_object)
        assert found
        assert json.loads(found[1])["error"].keys() == {"message", "type", "param", "code"}
        assert f"return {sent_as or status} '<!doctype html>" in as_page
        assert ("    internal;\n" in as_object) is not named
    assert {status for status, _, _ in pages} > {"400", "401", "403", "404", "405", "413", "414", "429", "500", "502"}
    assert ("494", "431") in {(status, sent_as) for status, sent_as, _ in pages}
    assert "WWW-Authenticate 'Bearer" in locations["@error-401.json"]
    assert "Retry-After 5" in locations["@error-502.json"]


def test_fail2ban_reads_the_log_and_bans_from_both_ports(render: Render) -> None:
    jail = render(
        "nginx", "fail2ban-jail.local.j2", nginx_fail2ban_attempts=3, nginx_fail2ban_ignored_addresses=["192.0.2.0/24"]
    )
    for line in (
        "logpath = /var/log/nginx/whisper-services.log",
        "maxretry = 3",
        "ignoreip = 127.0.0.0/8 ::1 192.0.2.0/24",
        "port = 80,443",
        "protocol = tcp,udp",
    ):
        assert line in jail.splitlines()


def clients_in(shared: str, variable: str) -> list[str]:
    """Patterns of the clients for whom a map of $client_name has 1."""
    found = re.search(rf"^map \$client_name \{variable} \{{$(.*?)^\}}$", shared, re.MULTILINE | re.DOTALL)
    assert found
    return re.findall(r'^    "(\S+)" 1;$', found[1], re.MULTILINE)


def test_rights_are_those_of_the_exact_names(render: Render) -> None:
    shared = render(
        "nginx",
        "whisper-services.conf.j2",
        ansible_facts=TRIXIE,
        nginx_basic_users=[{"name": "a.b", "hash": "", "admin": True}, {"name": "bob", "hash": ""}],
        nginx_api_keys=[
            {"name": "laptop", "key": "", "admin": True},
            {"name": "phone", "key": "", "admin": False, "metrics": "no"},
            {"name": "prometheus", "key": "", "metrics": True},
        ],
    )
    assert clients_in(shared, "$administrator") == ["~^laptop$", "~^a\\.b$"]
    assert clients_in(shared, "$may_read_metrics") == ["~^prometheus$"]


def test_nobody_has_rights_that_were_not_given(render: Render) -> None:
    users = [{"name": "alice", "hash": ""}]
    shared = render("nginx", "whisper-services.conf.j2", ansible_facts=TRIXIE, nginx_basic_users=users)
    assert clients_in(shared, "$administrator") == clients_in(shared, "$may_read_metrics") == []


def test_all_servers_write_the_bounded_log(render: Render) -> None:
    for template in ("whisper-services.conf.j2", "site.conf.j2"):
        for server in server_blocks(render("nginx", template, item=SITE, ansible_facts=TRIXIE)):
            assert "    include snippets/whisper-services-log.conf;\n" in server
            assert "    include snippets/whisper-services-errors.conf;\n" in server
    assert " if=$is_logged;\n" in render("nginx", "log.conf.j2")


def test_our_rule_of_logrotate_is_read_before_debians(evaluate: Evaluate) -> None:
    rule, _ = evaluate("nginx", "__nginx_log_files")
    assert rule.startswith("/etc/logrotate.d/")
    assert rule < "/etc/logrotate.d/nginx"


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


PORTAL = {
    "name": "portal.example.com",
    "root": "/var/www/portal",
    "certificate": "/etc/ssl/portal.example.com",
    "services": [
        {"path": "whisper", "host": "whisper.example.com", "upstream": "127.0.0.1:8890"},
        {"path": "whisperx", "host": "whisperx.example.com", "upstream": "127.0.0.1:8890"},
    ],
}


def location(site: str, head: str) -> str:
    """Directives of one location."""
    found = re.search(rf"^    location {re.escape(head)} \{{\n(.*?)^    \}}$", site, re.MULTILINE | re.DOTALL)
    assert found, head
    return found[1]


@pytest.mark.parametrize("name", ["whisper", "whisperx"])
def test_a_site_of_files_forwards_to_services_below_a_path(render: Render, name: str) -> None:
    site = render("nginx", "site.conf.j2", item=PORTAL, ansible_facts=TRIXIE)
    assert f"upstream upstream.portal.example.com.{name} {{\n    server 127.0.0.1:8890;\n" in site
    forwarded = location(site, f"/services/{name}/")
    lines = [line.strip() for line in forwarded.splitlines()]
    assert lines == [
        f"set $service_host {name}.example.com;",
        f'set $service_prefix "/services/{name}";',
        f"rewrite (?s)^/services/{name}(/.*)$ $1 break;",
        "include snippets/whisper-services-proxy.conf;",
        f"proxy_pass http://upstream.portal.example.com.{name};",
    ]


@pytest.mark.parametrize(
    ("item", "prefix"), [(SITE, ""), (PORTAL, "/services/whisper"), (PORTAL, "/services/whisperx")]
)
def test_what_is_restricted_is_restricted_at_every_address_of_a_service(
    render: Render, item: dict[str, str], prefix: str
) -> None:
    site = render("nginx", "site.conf.j2", item=item, ansible_facts=TRIXIE)
    assert "auth_request /.models;" in location(site, f"~ ^{prefix}/(v1/models|api/(ps|pull))(/|$)")
    assert "auth_request /.metrics;" in location(site, f"~ ^{prefix}/metrics/?$")
    assert "proxy_pass" not in location(site, f"~ ^{prefix}/busy/?$")
    assert site.count("if ($refused_page) {") == 1


@pytest.mark.parametrize("item", [SITE, PORTAL, {key: PORTAL[key] for key in ("name", "root", "certificate")}])
def test_every_site_can_ask_for_rights(render: Render, item: dict[str, Any]) -> None:
    site = render("nginx", "site.conf.j2", item=item, ansible_facts=TRIXIE)
    rights = {"models": "$may_use_models", "metrics": "$may_read_metrics"}
    for name, right in rights.items():
        lines = [line.strip() for line in location(site, f"= /.{name}").splitlines()]
        assert lines[:3] == ["internal;", f"if ({right}) {{", "return 204;"]
        assert lines[-1] == "return 403;"


def test_redirects_of_a_service_stay_below_its_path(render: Render) -> None:
    lines = render("nginx", "proxy.conf.j2").splitlines()
    for line in (
        "proxy_set_header Host $service_host;",
        "proxy_redirect http://$service_host/ $service_prefix/;",
        "proxy_redirect https://$service_host/ $service_prefix/;",
        "proxy_redirect / $service_prefix/;",
    ):
        assert line in lines


def test_files_of_users_are_limited_apart_from_services_and_strangers(render: Render) -> None:
    rate = {"nginx_address_requests_per_second": 3}
    shared = render("nginx", "whisper-services.conf.j2", ansible_facts=TRIXIE, **rate)
    assert "limit_req_zone $counted_address zone=whisper_services_addresses:10m rate=3r/s;\n" in shared
    assert "limit_req_zone $file_address zone=whisper_services_files:10m rate=30r/s;\n" in shared
    # A key of one zone is empty whenever that of the other is not.
    assert 'map "$api_key_name$file_user" $counted_address {\n    default "";\n' in shared
    assert 'map $file_user $file_address {\n    default $binary_remote_addr;\n    ""      "";\n' in shared
    site = render("nginx", "site.conf.j2", item=PORTAL, ansible_facts=TRIXIE, **rate)
    assert "    limit_req zone=whisper_services_addresses burst=15 nodelay;\n" in site
    assert "    limit_req zone=whisper_services_files burst=300 nodelay;\n" in site
    assert '    set $file_user "";\n' in site
    # Not the address's own word: an unknown name is none.
    assert "        set $file_user $user_name;\n" in location(server_blocks(site)[1], "/")
    assert site.count("set $file_user") == 2
    service = render("nginx", "site.conf.j2", item=SITE, ansible_facts=TRIXIE, **rate)
    assert re.findall(r"set \$file_user (.*);", service) == ['""']
