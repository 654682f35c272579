"""Stand-ins: real HTTP servers that behave like the vendor, in this process or in their own.

    python -m tests.standins.hubspot --port 9101

Every stand-in answers /_standin/… beside the vendor's own paths:
    GET  /_standin/state      what it holds, as JSON
    POST /_standin/behave     {"mode": …, "seconds": …, "times": …, …}: see `server.Behaviour`
    POST /_standin/set        what the stand-in itself can be told
    POST /_standin/reset      forget everything
"""
