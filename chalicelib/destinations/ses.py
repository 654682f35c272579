"""Amazon SES, API v2: mail: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html

Requests are signed (Signature Version 4). Nothing takes a key of ours and sent mail cannot be looked up:
the key goes along as a tag, which the events of a configuration set repeat, so what may have been sent
waits for those. It is from the connection's address, which SES knows; replies go to the address
that the conversation is on. References begin with the first mail of the thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from chalicelib.errors import Delayed, DeliveryFailed, Rejected, Unauthorized, Unknown
from chalicelib.kit import sending
from chalicelib.kit.destination import MAYBE_SENT, Destination, Limit
from chalicelib.kit.lazily import pattern
from chalicelib.kit.shape import kept, text
from chalicelib.kit.signatures import keys_of
from chalicelib.kit.signing import SigV4
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http, Reply
    from chalicelib.model.message import Message

Row = dict[str, Any]
PATH = "/v2/email/outbound-emails"
REGION = pattern(r"[a-z]{2}(?:-[a-z]+)+-\d\Z")
KEY = "draad_key"
INVALID = 400
MEANINGS: Mapping[str, tuple[type[DeliveryFailed], str]] = {
    "AccountSuspendedException": (Unauthorized, "the account may not send any more"),
    "LimitExceededException": (Delayed, "the day's quota is used up"),
    "MailFromDomainNotVerifiedException": (Unauthorized, "the domain of returned mail is not verified"),
    "MessageRejected": (Rejected, "refused: the address that it is from is not verified, or its content is not taken"),
    "SendingPausedException": (Unauthorized, "sending is paused for the account or the configuration set"),
    "ThrottlingException": (Delayed, "too many requests"),
}


def send_message(http: Http, message: Message) -> str:
    url, body = _url(http), msgspec.json.encode(letter(http, message))
    headers = _signer(http).headers("POST", url, http.clock(), body)
    answer = http.request("POST", PATH if http.base_url else url, body=body, headers=headers, allow=(INVALID,))
    if answer.status == INVALID:
        raise http.failure(answer, *MEANINGS.get(_error(answer), (None, "")))
    found = text(answer.json(), "MessageId")
    if not found:
        raise Unknown("a mail was answered without its id")
    return found


def letter(http: Http, message: Message) -> Row:
    sender, replies = sending.sender(message, text(http.settings, "from_address"))
    headers = [{"Name": name, "Value": value} for name, value in sending.thread_headers(message).items()]
    simple = {"Subject": _utf8(sending.subject(message)), "Body": {"Text": _utf8(sending.words(message))}}
    return {
        "FromEmailAddress": sender,
        "Destination": {"ToAddresses": [sending.address(message, "email")]},
        "Content": {"Simple": simple | kept(Headers=headers)},
        "EmailTags": [{"Name": KEY, "Value": message.key}],
    } | kept(
        ReplyToAddresses=[replies] if replies else [],
        ConfigurationSetName=text(http.settings, "configuration_set"),
    )


def _utf8(words: str) -> dict[str, str]:
    return {"Data": words, "Charset": "UTF-8"}


def _error(answer: Reply) -> str:
    return answer.headers.get("x-amzn-errortype", "").partition(":")[0]


def _region(http: Http) -> str:
    region = text(http.settings, "aws_region")
    if not REGION.match(region):
        raise Rejected("settings.aws_region: the region that sends, such as eu-west-1")
    return region


def _url(http: Http) -> str:
    return f"{http.base_url.rstrip('/') or f'https://email.{_region(http)}.amazonaws.com'}{PATH}"


def _signer(http: Http) -> SigV4:
    ids, secrets = keys_of(http.secrets, "aws_access_key_id"), keys_of(http.secrets, "aws_secret_access_key")
    if not ids or not secrets:
        raise Unauthorized("no aws_access_key_id with its aws_secret_access_key is configured")
    return SigV4(ids[0], secrets[0], _region(http), "ses")


def _signed_each(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    return {}


DESTINATION = Destination(
    name="SES (Amazon)",
    base_url="",
    auth=_signed_each,
    send_message=send_message,
    channels=("email",),
    limit=Limit(14, 1.0),
    outcomes={**MAYBE_SENT, 403: Unauthorized},
    settings={
        "aws_region": Setting("Region that sends", help="Such as eu-west-1; needed to send"),
        "from_address": Setting("From", help="TC Service <service@tc.example>: a verified identity; needed to send"),
        "configuration_set": Setting("Configuration set", help="Whose events tell what became of mail"),
        "base_url": Setting("In place of Amazon's addresses", help="Of SES and SNS both: for a stand-in"),
    },
    secrets={
        "aws_access_key_id": Setting("Access key id", help="To send: of a user who may only ses:SendEmail"),
        "aws_secret_access_key": Setting("Secret access key", help="To send"),
    },
    unverified=(
        "that refusals name their kind in x-amzn-ErrorType, as the service's own model has it",
        "that tags come back in the events of a configuration set: mail.tags",
        "mails a second: 14 are taken, what new accounts get outside the sandbox",
    ),
    setup=(
        "To send, verify the sender's domain, leave the sandbox, and make a user whose only permission is "
        "ses:SendEmail for that identity; enter its access key, the region and the address.",
        "Name a configuration set whose events go to the topic: they settle what may have been sent.",
    ),
    docs="https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html",
)
