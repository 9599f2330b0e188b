"""What certbot is told."""

import pytest

from tests.templates.conftest import Evaluate, Render

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"


def value_after(option: str, arguments: list[str]) -> str:
    return arguments[arguments.index(option) + 1]


def test_names_are_proved_over_port_80_with_the_web_server_up(evaluate: Evaluate) -> None:
    arguments = evaluate("certificates", "__certificates_certbot_arguments", certificates_webroot="/srv/acme")
    assert value_after("--authenticator", arguments) == "webroot"
    assert value_after("--webroot-path", arguments) == "/srv/acme"
    assert value_after("--server", arguments) == LETS_ENCRYPT
    assert value_after("--key-type", arguments) == "ecdsa"
    assert "--register-unsafely-without-email" in arguments


def test_an_account_may_have_an_address(evaluate: Evaluate) -> None:
    arguments = evaluate("certificates", "__certificates_certbot_arguments", certificates_email="admin@example.com")
    assert value_after("--email", arguments) == "admin@example.com"
    assert "--register-unsafely-without-email" not in arguments


@pytest.mark.parametrize("credentials", ["", "dns_cloudflare_api_token = x"])
def test_names_may_be_proved_by_dns(evaluate: Evaluate, credentials: str) -> None:
    arguments = evaluate(
        "certificates",
        "__certificates_certbot_arguments",
        certificates_dns_plugin="cloudflare",
        certificates_dns_credentials=credentials,
    )
    assert value_after("--authenticator", arguments) == "dns-cloudflare"
    assert "--webroot-path" not in arguments
    assert ("--dns-cloudflare-credentials" in arguments) == bool(credentials)
    assert not any("api_token" in argument for argument in arguments), "a secret is for a file"


def test_what_a_certificate_was_issued_with_is_what_certbot_is_told(evaluate: Evaluate) -> None:
    variables = {"certificates_acme_directory": "https://acme.example.com/dir", "certificates_key_type": "rsa"}
    assert evaluate("certificates", "__certificates_renewal_lines", **variables) == [
        "server = https://acme.example.com/dir",
        "key_type = rsa",
        "authenticator = webroot",
        "webroot_path = /var/lib/whisper-services/acme,",
    ]
    by_dns = evaluate("certificates", "__certificates_renewal_lines", certificates_dns_plugin="rfc2136", **variables)
    assert by_dns == ["server = https://acme.example.com/dir", "key_type = rsa", "authenticator = dns-rfc2136"]


def test_a_private_authority_is_for_certbot_alone(evaluate: Evaluate, render: Render) -> None:
    file = {"REQUESTS_CA_BUNDLE": "/etc/ssl/whisper-services/acme-ca.pem"}
    assert evaluate("certificates", "__certificates_certbot_environment") == {}
    assert evaluate("certificates", "__certificates_certbot_environment", certificates_acme_ca_file="ca.pem") == file
    dropin = render("certificates", "certbot-service.conf.j2").splitlines()
    assert dropin[-2:] == ["[Service]", "Environment=REQUESTS_CA_BUNDLE=/etc/ssl/whisper-services/acme-ca.pem"]


def test_the_first_deploy_command_that_fails_is_the_last(render: Render) -> None:
    hook = render("certificates", "deploy-hook.j2", certificates_deploy_commands=["nginx -t -q", "reload"])
    assert hook.splitlines()[0] == "#!/bin/sh"
    assert hook.splitlines()[-3:] == ["set -eu", "nginx -t -q", "reload"]
