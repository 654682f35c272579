"""Messages by rule: which event sets a rule off, and what its customer may get. Pure, no I/O.

Everything is judged when the message is about to go, not when it was planned: consent, the
provider's window, whether somebody was in touch meanwhile. Where it must not go the reason is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.kit.destination import Destination
from chalicelib.model import instants
from chalicelib.model.customer import Customer, denies
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import Identity
from chalicelib.model.message import Message
from chalicelib.model.rule import ASK_SATISFACTION, CHECK_DUE, ORDER_MESSAGE, SERVICE, TELL_ANSWER, Rule
from chalicelib.store.deliveries import MESSAGE
from chalicelib.store.table import Item

PREFIX = MESSAGE
FRESH_MS = 24 * 3_600_000
"""An event that comes later than this is history: nobody is written to about it."""
UNREACHABLE = "he has no address on"
TALK = frozenset({"message", "email", "call", "fax", "ticket", "note"})
CLOSED = frozenset({"solved", "closed", "resolved"})
KINDS_OF = {"sms": ("phone",), "whatsapp": ("whatsapp", "phone"), "email": ("email",), "voice": ("phone",)}
"""Identity kinds that are an address on a channel; of every other channel the kind has its name."""
TYPES_OF = {
    ORDER_MESSAGE: ("order",),
    CHECK_DUE: ("reservation", "note", "call", "ticket", "message"),
    ASK_SATISFACTION: ("ticket",),
}
LONGEST_QUOTE = 300


@dataclass(frozen=True)
class Scene:
    """What is known at the moment of sending. `said`: his newest entries, the newest first; `now` in
    milliseconds; `link`: makes a link that brings him back, when a text asks for one."""

    rule: Rule
    event: Event
    customer: Customer
    destination: Destination
    connection: str
    said: Sequence[Event]
    now: int
    link: Callable[[], str]


def kind_of(rule: Rule) -> str:
    """The kind of a duty that carries out this rule."""
    return f"{PREFIX}{rule.id}"


def sets_off(rule: Rule, item: Item) -> bool:
    """Whether an event may concern a rule, by what its item shows without being opened."""
    if not rule.on:
        return False
    if rule.kind == TELL_ANSWER:
        return item["di"] == "out" and item["ty"] in ("message", "email", "ticket")
    return item["ty"] in TYPES_OF.get(rule.kind, ())


def due_at(rule: Rule, event: Event) -> int:
    """Milliseconds before which a rule does nothing; 0: at once."""
    told = event.details.get("due_at") if rule.kind == CHECK_DUE else None
    try:
        return instants.to_ms(told) if isinstance(told, str) else 0
    except ValueError:
        return 0


def compose(scene: Scene) -> Message | str:
    """The message, or why there is none."""
    reason = _needless(scene) or _forbidden(scene)
    if reason:
        return reason
    channel = _channel(scene)
    to = _address(scene, channel)
    if to is None:
        return f"{UNREACHABLE} {' or '.join(scene.destination.channels)}"
    free = in_window(scene, channel)
    if not free and not scene.rule.template:
        return "the provider's window for free text is over, and the rule names no template"
    texts = _Texts(scene)
    return Message(
        key=f"{scene.rule.id}-{scene.event.id}",
        channel=channel,
        to=to,
        text=texts.fill(texts.of(scene.rule.text)),
        subject=texts.fill(texts.of(scene.rule.subject)),
        own=_own(scene, channel),
        free=free,
        template=scene.rule.template,
        language=texts.language,
        values=tuple(texts.fill(each) for each in scene.rule.values),
    )


def _needless(scene: Scene) -> str:
    rule, event = scene.rule, scene.event
    since = due_at(rule, event) or instants.to_ms(event.occurred_at)
    if scene.now - since > FRESH_MS:
        return "it happened too long ago to write about it"
    if rule.kind == TELL_ANSWER and event.actor != "agent":
        return "no agent answered"
    if rule.kind == ORDER_MESSAGE and event.details.get("status") not in ("created", "placed"):
        return "no new order"
    if rule.kind == ASK_SATISFACTION and event.details.get("status") not in CLOSED:
        return "nothing was closed"
    if rule.kind == CHECK_DUE and not due_at(rule, event):
        return "it names no moment when it is due"
    if rule.kind == CHECK_DUE and _touched(scene):
        return "somebody was in touch since"
    return ""


def _touched(scene: Scene) -> bool:
    """Whether we wrote or called after the promise was made, or he did."""
    after = scene.event.occurred_at
    return any(each.occurred_at > after and each.type in TALK and each.id != scene.event.id for each in scene.said)


def _forbidden(scene: Scene) -> str:
    for channel in scene.destination.channels:
        field = scene.customer.fields.get(f"consent_{channel}")
        denied = field is not None and denies(field.value)
        if denied and field and (scene.rule.purpose != SERVICE or field.source == scene.connection):
            return f"he does not want this on {channel}"
    general = scene.customer.fields.get(f"consent_{scene.rule.purpose}")
    return f"he does not want {scene.rule.purpose} messages" if general and denies(general.value) else ""


def _channel(scene: Scene) -> str:
    """The channel that he chose, if this destination reaches it; else its own first one."""
    chosen = scene.customer.preferred_channel
    return chosen if chosen in scene.destination.channels else scene.destination.channels[0]


def _address(scene: Scene, channel: str) -> Identity | None:
    """His address on the channel: the one that he used last there, else the surest. An answer is told
    only on a channel that he chose himself, and not where it was given."""
    if scene.rule.kind == TELL_ANSWER and (
        scene.customer.preferred_channel != channel or scene.event.channel == channel
    ):
        return None
    kinds = KINDS_OF.get(channel, (channel,))
    mine = [each for each in scene.customer.identities if each.kind in kinds]
    here = [each for each in scene.said if each.channel == channel and each.address]
    used = [each.address for each in sorted(here, key=lambda each: each.connection != scene.connection)]
    ranked = sorted(mine, key=lambda each: (_rank(each.text, used), kinds.index(each.kind), -each.assurance, each.text))
    return ranked[0] if ranked else None


def _rank(text: str, used: Sequence[str]) -> int:
    return used.index(text) if text in used else len(used)


def in_window(scene: Scene, channel: str) -> bool:
    """Whether free text is allowed now: he wrote there himself within the provider's hours."""
    hours = scene.destination.window_of(channel)
    own = (
        each for each in scene.said if each.channel == channel and each.direction == "in" and each.actor == "customer"
    )
    newest = next((instants.to_ms(each.occurred_at) for each in own), 0)
    return not hours or scene.now - newest <= hours * 3_600_000


def _own(scene: Scene, channel: str) -> str:
    return next((each.own_address for each in scene.said if each.channel == channel and each.own_address), "")


class _Texts:
    """The rule's texts in the customer's language, with what they ask for filled in."""

    def __init__(self, scene: Scene) -> None:
        told = scene.customer.fields.get("language")
        self.language = "en" if told and told.value[:2].lower() == "en" else "nl"
        self.scene = scene

    def of(self, texts: dict[str, str]) -> str:
        return texts.get(self.language) or next(iter(texts.values()), "")

    def fill(self, text: str) -> str:
        event, customer = self.scene.event, self.scene.customer
        quote = "" if event.sensitive else event.text[:LONGEST_QUOTE]
        found = {
            "{name}": customer.fields["name"].value if "name" in customer.fields else "",
            "{number}": str(event.details.get("number") or event.object),
            "{text}": quote,
            "{low}": str(self.scene.rule.scale[0]),
            "{high}": str(self.scene.rule.scale[1]),
        }
        for name, value in found.items():
            text = text.replace(name, value)
        return text.replace("{link}", self.scene.link()) if "{link}" in text else text


def as_event(scene: Scene, message: Message, remote: str, at: str) -> Event:
    """What was sent, as it stands on the timeline. `at`: the first attempt, the same for each."""
    asked = scene.rule.kind == ASK_SATISFACTION
    refs = tuple(
        ref for ref in scene.event.refs if not ref.typed and ref.kind in ("thread", "case", "order", "receipt")
    )
    survey = (Ref("survey", message.key, scene.connection),) if asked else ()
    return Event(
        type="satisfaction" if asked else "message",
        channel=message.channel,
        direction="out",
        actor="system",
        object=message.key,
        version="sent",
        occurred_at=at,
        identities=(message.to,),
        refs=(*survey, *refs),
        summary=message.text[:120] or message.template,
        text=message.text,
        details={"rule": scene.rule.kind, "status": "sent", "about": scene.event.id, "remote": remote}
        | ({"scale": list(scene.rule.scale), "subject_channel": scene.event.channel} if asked else {}),
        address=message.to.text,
        own_address=message.own,
        provider_type="rule",
    )
