"""The API of a hub that runs elsewhere, over real HTTP, with the same checks of every answer."""

from __future__ import annotations

import requests

from infra.local.gateway import Sent
from tests.api.client import Answer, Api
from tests.drive import eventually


def remote(url: str, key: str) -> Api:
    session = requests.Session()

    def asked(sent: Sent) -> Answer:
        headers = {name: value for name, value in sent.headers if name != "Host"}
        found = session.request(sent.method, url + sent.path, data=sent.body or None, headers=headers, timeout=60)
        return Answer(found.status_code, found.headers, found.content)

    return Api(key, table=None, asked=asked, worked=lambda api: eventually(lambda: idle(api)))


def idle(api: Api) -> bool:
    """Nothing waits or is under way in a queue of what arrives and of jobs."""
    waiting = api.get("/health")["queues"]
    return waiting["inbox"] == waiting["jobs"] == 0
