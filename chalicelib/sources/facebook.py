"""Facebook Page: what people post on a Page or comment there, in public, and what the Page answers.

https://developers.facebook.com/docs/graph-api/webhooks/reference/page/#feed

Each comment on a post opens a thread, which is that of whoever opened it: answers of the Page name
nobody, and the thread places them. Others who reply there are each in a thread of their own under
that post, which is one with the threads that they opened: so no answer, and no handover of such a
thread, takes one for another. A comment of the Page on a post goes to the post's author. Who alone is
tagged in an answer may be whom it is for. Authors are told by an id per Page, or not at all: who has
none and opens a thread is waiting in it with the answers to him; who has none and replies stays out
of it, unless the app may see no author at all. Posts of the Page itself are for nobody, and yield
nothing; nor do reactions, mentions elsewhere, which name no author, and messages to the Page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from chalicelib.kit.entries import Part, Posted, parts
from chalicelib.kit.fields import instant, plain, present, scoped
from chalicelib.kit.handshakes import hub_challenge
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED, Identity

TYPES = {
    "comment": "message",
    "post": "message",
    "status": "message",
    "photo": "message",
    "video": "message",
    "share": "message",
}
STATES = {
    "add": "",
    "edited": "edited",
    "edit": "edited",
    "remove": "deleted",
    "delete": "deleted",
    "hide": "hidden",
    "unhide": "shown",
}
MODERATION = frozenset({"hidden", "shown"})
UNSAID = MODERATION | {"deleted"}
"""States in which nobody says anything."""
LINKED = {"photo": "image", "video": "video"}
"""What the link of a post leads to."""
LABELS = {"edited": "edited", "deleted": "deleted", "hidden": "hidden by the Page", "shown": "shown again by the Page"}


class Said(msgspec.Struct, frozen=True):
    """One post or comment. `author` may be empty; `ours`: of the Page itself. `number` and `post`:
    last parts of ids, which are written with different first parts. `top`: the comment that opened
    the thread; empty for a post."""

    page: str
    item: str
    state: str
    author: str
    number: str
    post: str
    top: str
    moment: str
    value: Mapping[str, Any]

    @property
    def ours(self) -> bool:
        return self.author == self.page

    @property
    def opens(self) -> bool:
        return self.top in ("", self.number)


def normalize(request: Request) -> Iterator[Event]:
    if text(request.object, "object") != "page":
        return
    for part in parts(request.object, account=text(request.settings, "page_id")):
        item, verb = text(part.value, "item"), text(part.value, "verb")
        if part.name == "feed" and item in TYPES and verb in STATES:
            found = said(request, part)
            if item == "comment" or not found.ours:
                yield event(request, found)


def said(request: Request, part: Part) -> Said:
    told, item = part.value, text(part.value, "item")
    number = last(required(told, "comment_id" if item == "comment" else "post_id"))
    return Said(
        page=part.account or text(request.settings, "page_id") or request.connection,
        item=item,
        state=STATES[text(told, "verb")],
        author=plain(pick(told, "from", "id")) or plain(told.get("sender_id")),
        number=number,
        post=last(text(told, "post_id")) or first(text(told, "comment_id")),
        top=opener(told, number) if item == "comment" else "",
        moment=instant(told.get("created_time") or part.sent_at, "created_time"),
        value=told,
    )


def opener(told: Mapping[str, Any], number: str) -> str:
    """The comment that opened the thread: the parent, unless that is the post, or a photo in it."""
    parent = last(text(told, "parent_id"))
    on = (last(text(told, "post_id")), first(text(told, "comment_id")))
    return number if parent in ("", *on) else parent


def last(identifier: str) -> str:
    return plain(identifier).rpartition("_")[2]


def first(identifier: str) -> str:
    """What a comment is on, by the comment's id."""
    return last(plain(identifier).rpartition("_")[0])


def event(request: Request, said: Said) -> Event:
    found = recipient(request, said) if said.ours else author(said)
    words, moderated = "" if said.state in UNSAID else text(said.value, "message"), said.state in MODERATION
    return Event(
        type="message",
        channel="facebook",
        direction="internal" if moderated else "out" if said.ours else "in",
        actor="agent" if moderated or said.ours else "customer",
        object=said.number,
        version=version(said),
        occurred_at=said.moment,
        identities=present(found, same_in_messages(request, found)),
        refs=refs(request, said, found),
        summary=summary(said, words)[:120],
        text=words,
        attachments=() if said.state in UNSAID else attachments(said.value),
        details=details(said),
        fields=kept(name="" if said.ours else text(said.value, "from", "name") or text(said.value, "sender_name")),
        link=text(said.value, "permalink_url") or text(said.value, "post", "permalink_url"),
        provider_type=said.item,
        address=found.text if found else "",
        own_address=f"facebook:{said.page}",
    )


def version(said: Said) -> str:
    """One first state and one last; between those, each change is another."""
    if said.state in ("", "deleted"):
        return said.state or "added"
    return f"{said.state}@{said.moment}"


def author(said: Said) -> Identity | None:
    return scoped("facebook", said.page, said.author, A2_ATTESTED)


def recipient(request: Request, said: Said) -> Identity | None:
    """The one person whom an answer of the Page tags, where tags hold the ids that authors have."""
    tagged = {text(each, "id") for each in objects(said.value, "message_tags")} - {"", said.page}
    wanted = len(tagged) == 1 and request.settings.get("tags_place") is True
    return scoped("facebook", said.page, min(tagged), A2_ATTESTED) if wanted else None


def same_in_messages(request: Request, found: Identity | None) -> Identity | None:
    """The same person in private messages, where both have one id."""
    same = found is not None and request.settings.get("page_scoped_ids") is True
    return scoped("messenger", found.scope, found.value, A2_ATTESTED) if found and same else None


def refs(request: Request, said: Said, for_whom: Identity | None) -> tuple[Ref, ...]:
    """An opener: what it opens, and what its author has under the post; one of the Page's, the post.
    A reply: what its author has under the post; without one, the thread, if it may be anybody's."""
    opened = f"{said.post}_{said.top}" if said.top else said.post
    person = f"{said.post}/{for_whom.value}" if for_whom else ""
    anybody = bool(said.author) or request.settings.get("pages_read_user_content") is False
    threads = (opened, said.post if said.ours else person) if said.opens else (person or (opened if anybody else ""),)
    return tuple(Ref("thread", each, said.page) for each in threads if each)


def summary(said: Said, words: str) -> str:
    what = "Comment" if said.item == "comment" else "Post"
    shown = LABELS.get(said.state) or ("with a file" if attachments(said.value) else "without text")
    return words or f"{what} {shown}"


def details(said: Said) -> dict[str, Any]:
    return kept(
        status=said.state,
        public=True,
        post=text(said.value, "post_id") or said.post,
        comment=text(said.value, "comment_id"),
        parent="" if said.opens else text(said.value, "parent_id"),
        hidden=True if said.value.get("is_hidden") is True else None,
    )


def attachments(told: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    many, linked = told.get("photos"), LINKED.get(text(told, "item"), "link")
    found = [("image", told.get("photo")), ("video", told.get("video")), (linked, told.get("link"))]
    found += [("image", each) for each in many] if isinstance(many, list) else []
    ids = {"image": text(told, "photo_id"), "video": text(told, "video_id")}
    files = [kept(kind=kind, url=url, id=ids.get(kind)) for kind, url in found if isinstance(url, str) and url]
    return tuple(each for number, each in enumerate(files) if each not in files[:number])


SIGNATURE = Posted(hmac_signature(header="X-Hub-Signature-256", key_name="app_secret", prefix="sha256="))


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    page = text(settings, "page_id")
    ids = {"comment_id": "1_2", "post_id": f"{page}_1", "parent_id": f"{page}_1"}
    told = {"item": "comment", "verb": "add", "message": "Test", "created_time": 1767265200, **ids}
    changes = [{"field": "feed", "value": told}]
    body = {"object": "page", "entry": [{"id": page, "time": 1767265200, "changes": changes}]}
    return SIGNATURE.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Facebook Page",
    channel="facebook",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    handshake=hub_challenge,
    handshake_first=True,
    settings={
        "page_id": Setting("Page id", help="What other Pages send is ignored; also the scope of people's ids"),
        "pages_read_user_content": Setting(
            "App may see who wrote",
            type="boolean",
            default=True,
            help="Off where the app lacks this permission: comments without an author then stay in their thread",
        ),
        "page_scoped_ids": Setting(
            "Ids are those of messages",
            type="boolean",
            default=False,
            help="Whether a commenter's id is also his id in Messenger: look at one person who did both",
        ),
        "tags_place": Setting(
            "Tags tell for whom an answer is",
            type="boolean",
            default=False,
            help="Whether tags in the Page's comments come along, with the ids that commenters have",
        ),
    },
    secrets={
        "app_secret": Setting("App secret", required=True, help="Of the Meta app whose webhooks come here"),
        "verify_token": Setting("Verify token", required=True, help="A text of your choice, which the app asks for"),
    },
    unverified=(
        "whether a commenter's id is his id in Messenger: page_scoped_ids",
        "whether message_tags come along, and with which ids: tags_place",
        "whether a reply to a reply names the comment that opened the thread as its parent",
        "whether created_time of an edit is the edit's, and whose id from is when the Page removes or hides a comment",
        "whether an entry's time, the moment of a removal, is kept when a refused webhook is sent again",
        "the form of ids on photos of an album",
    ),
    setup=(
        "In the Meta app's basic settings, copy the app secret, and make up a verify token",
        "In the app's Webhooks, choose Page, and set {hook_url} and the verify token as callback",
        "Subscribe to the field feed, and subscribe the Page to the app (POST /<page id>/subscribed_apps). Without "
        "the permission pages_read_user_content comments have no author",
        "Put no handover link in public: whoever opens it first is taken for the customer. Send it as a private reply",
    ),
    docs="https://developers.facebook.com/documentation/pages-api/webhooks-for-pages",
    sample=sample,
)
