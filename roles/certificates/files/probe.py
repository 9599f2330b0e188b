"""Checks, as an ACME server would, that names resolve to the server with a token: `probe.py PATH TOKEN NAME...`.

For every address of every name, `http://ADDRESS/PATH` must return the token (RFC 8555, section 8.3). Prints the
problems, one sentence per line, and exits 1; prints nothing and exits 0 if there are none.
"""

import errno
import http.client
import socket
import sys

PORT = 80
TIMEOUT = 10.0
UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL}


def problems_of(name: str, path: str, token: str) -> list[str]:
    """What keeps an ACME server from validating ``name``, one sentence each."""
    try:
        found = socket.getaddrinfo(name, PORT, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return [f"{name} has no address in DNS ({error.strerror}). Create an A record that points to the server."]
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    results = {address: _problem_at(address, name, path, token) for address in addresses}
    # A control node without IPv6 cannot check an IPv6 address; an address that could not be checked proves nothing.
    checked = {address: problem for address, problem in results.items() if problem is not None}
    if not checked:
        return [f"{name} resolves to {', '.join(addresses)}, to which the control node has no route."]
    return [f"{name} resolves to {address}, {problem}" for address, problem in checked.items() if problem]


def _problem_at(address: str, name: str, path: str, token: str) -> str | None:
    """The problem at ``address``: an empty string for none, ``None`` if the address could not be checked."""
    connection = http.client.HTTPConnection(address, PORT, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers={"Host": name, "User-Agent": "whisper-services-probe"})
        response = connection.getresponse()
        body = response.read(len(token) + 1).decode("latin-1")
    except TimeoutError:
        return (
            f"whose port 80 does not respond within {TIMEOUT:.0f} s. If that is the server, open port 80 in its "
            "firewall and in its provider's; if not, correct the DNS record."
        )
    except ConnectionRefusedError:
        return (
            "whose port 80 is closed. If that is the server, nginx is not running or a firewall rejects the connection;"
            " if not, correct the DNS record."
        )
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in UNREACHABLE:
            return None
        return f"whose port 80 does not speak HTTP ({error}). Correct the DNS record, or free the port."
    finally:
        connection.close()
    if response.status == http.client.OK and body == token:
        return ""
    return (
        f"where another web server responds on port 80 (status {response.status}). Correct the DNS record; after a "
        "change, wait for the old record's TTL to expire."
    )


def main(path: str, token: str, *names: str) -> int:
    problems = [problem for name in names for problem in problems_of(name, path, token)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
