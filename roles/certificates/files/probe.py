"""Asks, as an ACME server would, whether names lead to the server that has a token: `probe.py PATH TOKEN NAME...`.

For every address of every name, `http://ADDRESS/PATH` must answer with the token (RFC 8555, section 8.3). Prints what
is wrong, a sentence a line, and exits 1; exits 0 without a word when all is well.
"""

import errno
import http.client
import socket
import sys

PORT = 80
TIMEOUT = 10.0
UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL}


def problems_of(name: str, path: str, token: str) -> list[str]:
    """What keeps an ACME server from proving ``name``, a sentence each."""
    try:
        found = socket.getaddrinfo(name, PORT, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return [f"{name} has no address in DNS ({error.strerror}). Create an A record that leads to the server."]
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    answers = {address: _problem_at(address, name, path, token) for address in addresses}
    # A control machine without IPv6 cannot judge an IPv6 address; one that nobody could be asked at is no proof.
    judged = {address: problem for address, problem in answers.items() if problem is not None}
    if not judged:
        return [f"{name} leads to {', '.join(addresses)}, which the control machine has no route to."]
    return [f"{name} leads to {address}, {problem}" for address, problem in judged.items() if problem]


def _problem_at(address: str, name: str, path: str, token: str) -> str | None:
    """What is wrong at ``address``: nothing is an empty string, and ``None`` that nobody could be asked."""
    connection = http.client.HTTPConnection(address, PORT, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers={"Host": name, "User-Agent": "whisper-services-probe"})
        answer = connection.getresponse()
        body = answer.read(len(token) + 1).decode("latin-1")
    except TimeoutError:
        return (
            f"whose port 80 does not answer within {TIMEOUT:.0f} s. If that is the server, open port 80 in its "
            "firewall and in its provider's; if not, correct the record in DNS."
        )
    except ConnectionRefusedError:
        return (
            "whose port 80 is closed. If that is the server, nginx does not run or a firewall refuses; if not, correct "
            "the record in DNS."
        )
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in UNREACHABLE:
            return None
        return f"whose port 80 does not speak HTTP ({error}). Correct the record in DNS, or free the port."
    finally:
        connection.close()
    if answer.status == http.client.OK and body == token:
        return ""
    return (
        f"where another web server answers on port 80 (status {answer.status}). Correct the record in DNS; after a "
        "change, wait until the old record's time to live is over."
    )


def main(path: str, token: str, *names: str) -> int:
    problems = [problem for name in names for problem in problems_of(name, path, token)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
