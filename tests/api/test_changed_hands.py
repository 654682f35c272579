"""Numbers and accounts that change hands, as the providers tell it, in any order of arrival."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests import drive
from tests.api.client import Api
from tests.drive import Sent

PAGE, PSID = "108712345678901", "7412345678901234"
OLD, NEW = "316960000{:02d}", "316970000{:02d}"


def go(api: Api, sent: Sent) -> None:
    assert api.send("POST", sent.url, sent.body, sent.headers.items(), key="").status == 200
    api.work()


def texts(api: Api, identity: str) -> list[str]:
    (found,) = api.get("/v1/customers", identity=identity)["customers"]
    entries = api.get(f"/v1/customers/{found['id']}/timeline")["entries"]
    return [each["text"] or each["summary"] for each in reversed(entries)]


def says(hook: str, user: str, number: str, at: int, text: str) -> Sent:
    contact = {"profile": {"name": "Jan"}, "wa_id": number, "user_id": user}
    said = {"from": number, "id": f"wamid.{user}{at}", "timestamp": str(at), "type": "text", "text": {"body": text}}
    return drive.whatsapp_cloud(hook, {"contacts": [contact], "messages": [said]})


def changes(hook: str, k: int, old: str, new: str, at: int) -> Sent:
    told = {
        "body": f"User Jan changed from {old} to {new}",
        "type": "user_changed_number",
        "wa_id": new,
        "previous_user_id": f"NL.A{k}",
        "user_id": f"NL.B{k}",
    }
    system = {"from": old, "id": f"wamid.sys{k}", "timestamp": str(at), "type": "system", "system": told}
    return drive.whatsapp_cloud(hook, {"messages": [system]})


@pytest.fixture
def whatsapp(api: Api) -> str:
    asked = {"provider": "whatsapp", "name": "wa", "secrets": {"app_secret": drive.APP_SECRET, "verify_token": "v"}}
    made: str = api.call("POST", "/v1/connections", 201, asked)["id"]
    return f"/hooks/{made}"


@pytest.mark.parametrize(("k", "turns"), list(enumerate(itertools.permutations(range(4)))))
def test_who_takes_another_number_keeps_his_history_and_the_next_owner_begins_his_own(
    api: Api, whatsapp: str, k: int, turns: tuple[int, ...]
) -> None:
    old, new, at = OLD.format(k), NEW.format(k), 1788264000
    story = [
        says(whatsapp, f"NL.A{k}", old, at, "Met Jan"),
        changes(whatsapp, k, old, new, at + 86_400),
        says(whatsapp, f"NL.B{k}", new, at + 2 * 86_400, "Weer Jan"),
        says(whatsapp, f"NL.C{k}", old, at + 3 * 86_400, "Met Kim"),
    ]
    for turn in turns:
        go(api, story[turn])
    changed = f"User Jan changed from {old} to {new}"
    assert texts(api, f"phone:+{new}") == ["Met Jan", changed, "Weer Jan"]
    assert texts(api, f"phone:+{old}") == ["Met Kim"], "who has the number now"


def page(hook: str, at: int, **news: Any) -> Sent:
    one: Mapping[str, Any] = {"sender": {"id": PSID}, "recipient": {"id": PAGE}, "timestamp": at, **news}
    raw = json.dumps({"object": "page", "entry": [{"id": PAGE, "time": at, "messaging": [one]}]}).encode()
    mac = hmac.new(b"app-secret", raw, hashlib.sha256).hexdigest()
    return Sent(hook, {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={mac}"}, raw)


def test_an_account_is_linked_until_it_is_unlinked(api: Api) -> None:
    asked = {
        "provider": "messenger",
        "name": "page",
        "settings": {"page_id": PAGE, "link_issuer": "mijn.example.nl"},
        "secrets": {"app_secret": "app-secret", "verify_token": "v"},
    }
    hook = f"/hooks/{api.call('POST', '/v1/connections', 201, asked)['id']}"
    at, day = 1788264000000, 86_400_000

    def said(number: int, text: str) -> Sent:
        return page(hook, at + number * day, message={"mid": f"m_{number}", "text": text})

    linked = {"status": "linked", "authorization_code": "sub-77"}
    go(api, said(0, "Wie ben ik"))
    go(api, page(hook, at + day, account_linking=linked))
    go(api, said(2, "Ingelogd"))
    account = "login:mijn.example.nl/sub-77"
    assert texts(api, account) == ["Wie ben ik", "Account linked", "Ingelogd"]
    go(api, said(4, "Niet meer"))
    assert texts(api, account)[-1] == "Niet meer"
    go(api, page(hook, at + 3 * day, account_linking={"status": "unlinked"}))
    assert texts(api, account) == ["Wie ben ik", "Account linked", "Ingelogd", "Account unlinked"], "told late"
    assert texts(api, f"messenger:{PAGE}/{PSID}") == ["Niet meer"]
