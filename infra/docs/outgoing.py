"""What a provider's page says of what goes out, and of what cannot."""

from __future__ import annotations

from chalicelib.kit.destination import Destination, Limit


def section(destination: Destination) -> list[str]:
    facts = [*_told(destination), *_messages(destination), *_ways(destination), *_mapped(destination)]
    return ["## What goes out", "", *(f"- {fact}" for fact in facts)]


def _told(destination: Destination) -> list[str]:
    found = [
        f"At most {pace(destination.limit)}, by all workers together; `rate_limit` and `rate_seconds` change that."
    ]
    if destination.contacts:
        found.append("Each customer is a contact there, as he is now.")
    if destination.history:
        again = "takes our key, so sending again changes nothing" if destination.keyed else _looked_for(destination)
        found.append(f"Each entry of his timeline is an activity; the system {again}.")
    if destination.tell_membership:
        found.append("It takes the feed of an [audience](../audiences.md#feed).")
    if destination.partner:
        found.append("It is somebody else's: nothing sensitive goes there unless `own_system` says that it is yours.")
    return found


def _looked_for(destination: Destination) -> str:
    return "takes no key of ours, so an activity is looked for before it is sent again"


def pace(limit: Limit) -> str:
    return f"{limit.requests} requests in {limit.seconds:g} s"


def _messages(destination: Destination) -> list[str]:
    if destination.send_message is None:
        return []
    if destination.message_keyed:
        sure = "The provider takes our key, so none goes twice."
    elif destination.find_message:
        sure = "After an unknown outcome the provider is asked before anything is sent again."
    else:
        sure = "After an unknown outcome the message is left to people: the provider takes no key and cannot be asked."
    found = [f"It sends messages by rule on {', '.join(destination.channels)}. {sure}"]
    if destination.window_hours:
        free = f", but on {', '.join(destination.windowless)}" if destination.windowless else ""
        found.append(
            f"Free text goes within {destination.window_hours} hours of the customer's own last message{free}."
        )
    return found


def _ways(destination: Destination) -> list[str]:
    found = []
    if destination.changes:
        found.append("What agents change there comes back.")
    if destination.merge_contacts:
        found.append(
            "With `merge_policy: hard` records of who turns out to be one customer become one; nobody can undo that."
        )
    if destination.move_activity:
        found.append("Entries move to the record of whose they are, when customers become one or come apart.")
    if destination.forget_contact:
        found.append("Whoever is erased is erased there.")
    return found


def _mapped(destination: Destination) -> list[str]:
    found = []
    for name, ours in destination.mapped.items():
        stay = f" Not these, which stay ours: {', '.join(f'`{each}`' for each in ours)}." if ours else ""
        found.append(f"A field mapping may fill fields of its `{name}`.{stay}")
    for setting, names in destination.comes_back.items():
        fields = ", ".join(f"`{each}`" for each in names)
        unless = f" unless `{setting}` is set" if setting else ""
        found.append(f"A mapping must not fill {fields}{unless}: it would come back as news.")
    return found


def lacks(destination: Destination | None) -> list[str]:
    if destination is None:
        return []
    shown = destination.contacts or destination.history
    found = [
        (shown and not destination.contacts, "It keeps no contacts: each entry says whose it is."),
        (shown and not destination.history, "It shows no entries: it is told who the customers are, and no more."),
        (shown and destination.forget_contact is None, "It cannot erase: the certificate of an erasure names it."),
        (destination.history and destination.contacts and not destination.move_activity, _STAYS),
        (destination.contacts and not destination.merge_contacts, "It cannot make one record of two: both stay."),
        (
            destination.contacts and not destination.shows_contact,
            "Reconciling with `look` does not see that a record differs.",
        ),
        (not shown, "It is told no history: it only sends messages."),
    ]
    return [text for holds, text in found if holds]


_STAYS = "Entries cannot move: what was told stays on the record where it was."
