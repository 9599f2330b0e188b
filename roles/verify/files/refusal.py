"""Asks services without credentials, and prints what is wrong with how they refuse: a line of JSON, a list."""

import argparse
import json

import requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="+", metavar="URL", help="address of a service, without a path")
    parser.add_argument("--ca-file", default=True, help="certificate authority to trust instead of the system's")
    arguments = parser.parse_args()
    print(json.dumps([problem for url in arguments.urls if (problem := fault(url, arguments.ca_file))]))


def fault(url: str, verify: str | bool) -> str:
    """What is wrong with the answer to a stranger; empty where he is refused with an error object."""
    try:
        answer = requests.get(f"{url}/v1/models", verify=verify, timeout=60)
    except requests.RequestException as error:
        return f"{url} cannot be asked: {error}"
    if answer.status_code != requests.codes.unauthorized:
        return f"{url} answered a request without credentials with {answer.status_code} instead of 401."
    try:
        refused = answer.json()["error"]["code"] == "invalid_api_key"
    except (ValueError, KeyError, TypeError):
        refused = False
    return "" if refused else f"{url} refuses strangers, but not with an error object: {answer.text}"


if __name__ == "__main__":
    main()
