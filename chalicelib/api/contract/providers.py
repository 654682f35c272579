"""The contract of the catalogue."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from chalicelib.api.contract.operation import Channel, EventType, Next, Operation, one_of

TAG = "Providers"


class ProviderBrief(TypedDict):
    slug: str
    name: str
    kind: Annotated[str, one_of(["source", "destination", "both"])]
    channels: list[Channel]
    event_types: list[EventType]
    grade: Annotated[str, Meta(description="How far it is proven")]
    catches_up: Annotated[bool, Meta(description="Whether it can be asked for what it never delivered")]
    sends_messages: bool
    takes_audiences: bool
    unverified: Annotated[list[str], Meta(description="What nobody could confirm at a live account")]
    docs: str


class Provider(ProviderBrief):
    setup: Annotated[list[str], Meta(description="What to do at the provider, step by step")]
    settings: Annotated[dict[str, Any], Meta(description="JSON Schema of a connection's settings")]
    secrets: Annotated[dict[str, Any], Meta(description="JSON Schema of a connection's secrets")]
    templates: Annotated[dict[str, Any], Meta(description="Mappings to begin with, by name")]


class Providers(TypedDict):
    providers: list[ProviderBrief]
    next: Next


OPERATIONS = {
    "listing": Operation("The catalogue", {200: Providers}),
    "show": Operation("One provider: what it needs, and how to set it up", {200: Provider}),
}
