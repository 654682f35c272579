"""Every error of the hub, and what each does to the request or to the queue.

HubError
├── RequestRefused              HTTP: a 4xx answer; nothing was kept
│   ├── ConnectionUnknown       401  looks like SignatureInvalid from outside
│   ├── SignatureInvalid        401  one note per connection and minute
│   ├── TooLarge                413  a hook over 4 MB (Lambda's limit after base64), a call over 256 KB
│   ├── MediaUnsupported        415  a call whose body is of no JSON type
│   ├── KeyMissing              401  no API key
│   ├── ScopeMissing            403  a key without the scope
│   ├── NotFound                404  unknown, or somebody else's
│   ├── Conflict                409  somebody changed it meanwhile
│   ├── Erased                  410  a customer that was erased
│   ├── InputInvalid            422  names each wrong field
│   └── TooMany                 429  a key over its rate
├── PayloadMalformed            worker: receipt kept as malformed, replayable; never retried by itself
 │   └── PartlyMalformed         worker: what could be read is accepted, the receipt names what could not
 ├── FetchDelayed                the vendor cannot answer now. worker: back to the queue; hook: 503, it sends again
├── DeliveryFailed              an attempt's outcome
│   ├── Delayed                 429, 5xx: again at `retry_at`, up to 3 days, then parked
│   ├── Unknown                 timeout or reset: look first, then as Delayed
│   ├── Rejected                other 4xx: parked with the reason
│   ├── Unauthorized            connection paused, nothing dropped
│   └── Gone                    410: connection disabled
├── Busy                        worker: another worker holds the lease; back to the queue at once
├── NewerVersion                worker: written by a newer version of the hub; waits in the queue until that runs here
├── StorageUnavailable          AWS answered with an error: the message waits in the queue, it never parks
└── SettingsInvalid             refuse to start, naming the setting

Anything else is our own mistake: 500 to a provider (it retries); in a worker
back to the queue, and parked with the reason on the 5th receive.
"""


class HubError(Exception):
    """Root of the tree."""


class RequestRefused(HubError):
    status = 400
    title = "Request refused"

    def __init__(self, detail: str = "", errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []


class ConnectionUnknown(RequestRefused):
    status = 401
    title = "Signature invalid"


class SignatureInvalid(RequestRefused):
    """`detail` is for our own note only; the caller sees the title."""

    status = 401
    title = "Signature invalid"


class TooLarge(RequestRefused):
    status = 413
    title = "Body too large"


class MediaUnsupported(RequestRefused):
    status = 415
    title = "Media type unsupported"


class KeyMissing(RequestRefused):
    status = 401
    title = "API key missing or unknown"


class ScopeMissing(RequestRefused):
    status = 403
    title = "This key lacks the scope"


class NotFound(RequestRefused):
    status = 404
    title = "Not found"


class Conflict(RequestRefused):
    status = 409
    title = "Changed meanwhile"


class Erased(RequestRefused):
    status = 410
    title = "Erased"


class InputInvalid(RequestRefused):
    """`errors` is a list of {"pointer": "/settings/shop", "detail": "…"}."""

    status = 422
    title = "Input invalid"


class TooMany(RequestRefused):
    """`wait`: whole seconds after which the next request is welcome."""

    status = 429
    title = "Too many requests"

    def __init__(self, detail: str, wait: int) -> None:
        super().__init__(detail)
        self.wait = wait


class PayloadMalformed(HubError):
    """The bytes were signed, but are not what the provider documents."""


class PartlyMalformed(PayloadMalformed):
    """Raised after the events of everything that could be read. `flaws`: (part, reason) of what could not; of very
    many the first ones, and how many `more`."""

    def __init__(self, flaws: list[tuple[str, str]], parts: int, more: int = 0) -> None:
        self.flaws = flaws
        named = [f"{part}: {reason[:120]}" for part, reason in flaws[:3]] + [part for part, _ in flaws[3:]]
        named += [f"and {more:,} more"] if more else []
        super().__init__(f"{len(flaws) + more} of {parts} parts could not be read: " + "; ".join(named))


class FetchDelayed(HubError):
    """A look-up at the provider failed in a way that time may mend."""


class DeliveryFailed(HubError):
    """`reason` is one line for people; `excerpt` the redacted head of the answer; `request` the outline
    of what was sent, if anything was."""

    outcome = "rejected"

    def __init__(self, reason: str, excerpt: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.excerpt = excerpt
        self.request = ""


class Delayed(DeliveryFailed):
    """`retry_after`: seconds asked for by the destination, if it asked."""

    outcome = "delayed"

    def __init__(self, reason: str, excerpt: str = "", retry_after: float | None = None) -> None:
        super().__init__(reason, excerpt)
        self.retry_after = retry_after


class Paced(Delayed):
    """We have asked enough for now. `retry_after` is a place in the line; `untried`: nothing was sent."""

    def __init__(self, reason: str, retry_after: float, *, untried: bool) -> None:
        super().__init__(reason, retry_after=retry_after)
        self.untried = untried


class Unknown(Delayed):
    outcome = "unknown"


class Rejected(DeliveryFailed):
    outcome = "rejected"


class Unauthorized(DeliveryFailed):
    outcome = "unauthorized"


class Gone(DeliveryFailed):
    outcome = "gone"


class Busy(HubError):
    """Somebody else holds the lease; try again within seconds."""


class NewerVersion(HubError):
    """A newer version of the hub wrote this, while both run or before somebody went back: it is not ours to judge."""


class StorageUnavailable(HubError):
    """AWS refused or did not answer; time mends it."""


class SettingsInvalid(HubError):
    """A setting is missing or wrong; the text names it and the remedy."""
