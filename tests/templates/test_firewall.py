"""The rules of the firewall."""

import re

import pytest

from tests.templates.conftest import Render


def test_both_chains_deny_by_default(render: Render) -> None:
    rules = render("firewall", "rules.nft.j2")
    assert re.findall(r"hook (\w+) priority filter - 5; policy (\w+);", rules) == [
        ("input", "drop"),
        ("forward", "drop"),
    ]


def test_ports_are_those_of_the_variables(render: Render) -> None:
    rules = render(
        "firewall",
        "rules.nft.j2",
        firewall_ssh_ports=[22, 2222],
        firewall_ssh_rate=7,
        firewall_tcp_ports=[443],
        firewall_udp_ports=[51820],
    )
    assert "tcp dport { 22, 2222 } jump ssh\n" in rules
    assert "tcp dport { 443 } accept\n" in rules
    assert "udp dport { 51820 } accept\n" in rules
    assert "ct original proto-dst { 443 } accept\n" in rules
    assert rules.count("limit rate over 7/minute burst 7 packets") == 2


@pytest.mark.parametrize("variable", ["firewall_ssh_ports", "firewall_tcp_ports", "firewall_udp_ports"])
def test_without_ports_there_is_no_rule(render: Render, variable: str) -> None:
    assert "{  }" not in render("firewall", "rules.nft.j2", **{variable: []})


def test_who_may_connect_through_the_host(render: Render) -> None:
    rules = render("firewall", "rules.nft.j2", firewall_forward_from=["docker*", "wg0"])
    assert re.findall(r'iifname "([^"]*)" accept', rules.partition("chain forward")[2]) == ["docker*", "wg0"]


def test_only_our_table_is_named_and_nothing_flushed(render: Render) -> None:
    text = render("firewall", "firewall.nft.j2", __firewall_rules="", __firewall_version="0123")
    text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    assert "flush" not in text
    assert set(re.findall(r"table (\w+ \w+)", text)) == {"inet whisper_services"}
