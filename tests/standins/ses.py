"""Amazon SES v2, SendEmail, behind Signature Version 4 as Amazon's own library makes it:
https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
"""

from __future__ import annotations

import re
from email.utils import parseaddr
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.standins.server import Answer, Call, Standin, run

KEY_ID, SECRET, REGION = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "eu-west-1"
TAG = re.compile(r"[A-Za-z0-9_.@-]{1,256}\Z")
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=(?P<id>[^/]+)/[^,]+, SignedHeaders=(?P<names>[^,]+), ")
KNOWN = {"FromEmailAddress", "Destination", "Content", "EmailTags", "ReplyToAddresses", "ConfigurationSetName"}

Row = dict[str, Any]


class Ses(Standin):
    """`verified`: identities that may send. `sandbox`: only they get mail too. `refused`: the kind of error that
    every mail gets."""

    def reset(self) -> None:
        self.verified = {"service@tc.example"}
        self.sandbox = False
        self.refused = ""
        self.mails: list[Row] = []

    def set(self, **told: Any) -> None:
        with self.lock:
            self.verified |= set(told.pop("verified", ()))
            self.sandbox = told.pop("sandbox", self.sandbox)
            self.refused = told.pop("refused", self.refused)
        super().set(**told)

    def state(self) -> Any:
        return {"mails": self.mails, "calls": len(self.calls)}

    def sent(self) -> list[str]:
        with self.lock:
            return [str(each["MessageId"]) for each in self.mails]

    def answer(self, call: Call) -> Answer:
        if wrong := self._unsigned(call):
            return _error(403, wrong, "The request signature we calculated does not match the one you provided.")
        if (call.method, call.path) != ("POST", "/v2/email/outbound-emails"):
            return _error(404, "UnknownOperationException", "")
        if self.refused:
            return _error(400, self.refused, "")
        told = call.json
        return self._wrong(told) or self._send(told)

    def _unsigned(self, call: Call) -> str:
        found = AUTHORIZATION.match(call.headers.get("authorization", ""))
        if found is None:
            return "MissingAuthenticationTokenException"
        if found["id"] != KEY_ID:
            return "UnrecognizedClientException"
        signed = {name: call.headers.get(name, "") for name in found["names"].split(";")}
        request = AWSRequest(call.method, f"{self.url}{call.path}", signed, call.body)
        request.context["timestamp"] = signed.get("x-amz-date", "")
        theirs = SigV4Auth(Credentials(KEY_ID, SECRET), "ses", REGION)
        text = theirs.string_to_sign(request, theirs.canonical_request(request))
        given = call.headers["authorization"].rpartition("Signature=")[2]
        return "" if given == theirs.signature(text, request) else "InvalidSignatureException"

    def _wrong(self, told: Row) -> Answer | None:
        simple = told.get("Content", {}).get("Simple", {})
        if set(told) - KNOWN or not simple.get("Subject", {}).get("Data") or not simple.get("Body", {}).get("Text"):
            return _error(400, "BadRequestException", "Invalid content")
        if any(not TAG.match(each["Name"]) or not TAG.match(each["Value"]) for each in told.get("EmailTags", [])):
            return _error(400, "BadRequestException", "Invalid tag")
        if any(not each["Value"].isascii() for each in simple.get("Headers", [])):
            return _error(400, "BadRequestException", "Invalid header")
        unverified = {_address(told.get("FromEmailAddress"))} - self.verified
        if self.sandbox:
            unverified |= set(map(_address, told["Destination"]["ToAddresses"])) - self.verified
        if unverified:
            return _error(400, "MessageRejected", "Email address is not verified.")
        return None

    def _send(self, told: Row) -> Answer:
        made = f"0102018f-{len(self.mails) + 1:08d}-000000"
        self.mails.append({"MessageId": made, **told})
        return Answer(200, {"MessageId": made})


def _address(value: Any) -> str:
    return parseaddr(str(value or ""))[1].lower()


def _error(status: int, kind: str, message: str) -> Answer:
    return Answer(status, {"message": message}, {"x-amzn-ErrorType": f"{kind}:"})


if __name__ == "__main__":
    run(Ses)
