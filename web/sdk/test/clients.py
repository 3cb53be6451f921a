"""Reads a stream with a client library from PyPI and prints each event as a line of JSON.

usage: clients.py httpx-sse|sseclient-py URL TOKEN LAST_EVENT_ID
"""

import json
import sys


def read_with_httpx_sse(url, headers):
    import httpx
    import httpx_sse

    with httpx.Client(timeout=None) as client:
        with httpx_sse.connect_sse(client, "GET", url, headers=headers) as source:
            yield from source.iter_sse()


def read_with_sseclient_py(url, headers):
    import requests
    import sseclient

    with requests.get(url, headers=headers, stream=True) as response:
        response.raise_for_status()
        yield from sseclient.SSEClient(response).events()


READERS = {"httpx-sse": read_with_httpx_sse, "sseclient-py": read_with_sseclient_py}

library, url, token, last_event_id = sys.argv[1:]
headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
if last_event_id:
    headers["Last-Event-ID"] = last_event_id
for event in READERS[library](url, headers):
    # A block without data would fail here.
    print(json.dumps({"type": event.event, "id": event.id, "data": json.loads(event.data)}), flush=True)
