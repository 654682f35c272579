from __future__ import annotations
import sys, time, pickle
from collections.abc import Iterator
import pytest
from bench.stage import quick_transactions
from tests.policies.recorded import recording
from tests.policies.memory_hub import MemoryHub, URL
from tests.policies import journeys
from tests.conftest import forget


@pytest.fixture
def hub(memory_aws, monkeypatch):
    monkeypatch.setenv("DRAAD_ALLOW_PRIVATE_DESTINATIONS", "1")
    monkeypatch.setenv("DRAAD_PUBLIC_URL", URL)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "draad-test")
    forget()
    with quick_transactions(), recording() as rec:
        h = MemoryHub(rec, memory_aws["DRAAD_STREAM_ARN"])
        with h.clock():
            yield h


def test_all(hub):
    import traceback, os

    sel = os.environ.get("SEL")
    bad = []
    for each in journeys.ALL:
        if sel and each.__name__ not in sel:
            continue
        t = time.time()
        try:
            each(journeys.Town(hub))
        except Exception:
            bad.append(each.__name__)
            print(traceback.format_exc()[-2500:])
        print("=====", each.__name__, round(time.time() - t, 1), flush=True)
        with open("/tmp/pol/j%s.pkl" % (sel or ""), "wb") as f:
            pickle.dump([(c.function, c.action, c.resource, c.keys) for c in hub.recorder.calls], f)
    assert not bad
    assert hub.recorder.troubles == []
