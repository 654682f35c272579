"""Identities: one identifier (kind, scope, normalized value) and how sure we are of it."""

from __future__ import annotations

import msgspec

A1_ASSERTED, A2_ATTESTED, A3_VERIFIED = 1, 2, 3

ANCHORS = frozenset({"shop", "loyalty", "login"})
CONTACT_POINTS = frozenset({"email", "phone", "fax"})
CHANNEL_SCOPED = frozenset(
    [
        "web",
        "app",
        "messenger",
        "instagram",
        "whatsapp",
        "line",
        "wechat",
        "x",
        "telegram",
        "viber",
        "slack",
        "matrix",
        "facebook",
        "desk",
        "crm",
    ]
)
KINDS = ANCHORS | CONTACT_POINTS | CHANNEL_SCOPED
ANONYMOUS_KINDS = frozenset({"web", "app"})


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """`scope` is the account at the provider; contact points have none."""

    kind: str
    value: str
    scope: str = ""
    assurance: int = A1_ASSERTED

    @property
    def text(self) -> str:
        """`kind:value` or `kind:scope/value`, as the API, audit and pages show it.

        The first slash ends the scope, so in the scope a slash is %2F and a percent sign %25.
        """
        scope = self.scope.replace("%", "%25").replace("/", "%2F")
        scoped = scope or ("/" in self.value and self.kind not in CONTACT_POINTS)
        return f"{self.kind}:{scope}/{self.value}" if scoped else f"{self.kind}:{self.value}"


def parse(text: str) -> Identity | None:
    """The identity that `text` names (assurance A1), or None when it is not one.

    Reads the exact form that `Identity.text` writes; values are not normalized here.
    """
    kind, colon, rest = text.partition(":")
    if not colon or kind not in KINDS or not rest:
        return None
    if kind in CONTACT_POINTS:
        return Identity(kind, rest)
    scope, slash, value = rest.partition("/")
    if not slash:
        return Identity(kind, rest)
    return Identity(kind, value, scope.replace("%2F", "/").replace("%25", "%")) if value else None
