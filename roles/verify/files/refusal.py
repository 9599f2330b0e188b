"""Sends requests without credentials to services, and prints a JSON list of those that are not rejected properly."""

import argparse
import json

import requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="+", metavar="URL", help="URL of a service, without a path")
    parser.add_argument("--ca-file", default=True, help="CA certificate to trust instead of the system's")
    arguments = parser.parse_args()
    print(json.dumps([problem for url in arguments.urls if (problem := fault(url, arguments.ca_file))]))


def fault(url: str, verify: str | bool) -> str:
    """The problem with the response to an unauthenticated request; empty if it is rejected with an error object."""
    try:
        response = requests.get(f"{url}/v1/models", verify=verify, timeout=60)
    except requests.RequestException as error:
        return f"{url} cannot be reached: {error}"
    if response.status_code != requests.codes.unauthorized:
        return f"{url} responded to an unauthenticated request with {response.status_code} instead of 401."
    try:
        rejected = response.json()["error"]["code"] == "invalid_api_key"
    except (ValueError, KeyError, TypeError):
        rejected = False
    return "" if rejected else f"{url} rejects unauthenticated requests, but not with an error object: {response.text}"


if __name__ == "__main__":
    main()
