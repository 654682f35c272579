"""docs/scale.md is what the code computes of the kept results. DRAAD_WRITE=1 writes it."""

from __future__ import annotations

import dataclasses
import os

import pytest

from bench import scale
from infra.local.state import ROOT

PAGE = ROOT / "docs" / "scale.md"


def test_the_page_is_the_computed_one() -> None:
    if os.environ.get("DRAAD_WRITE"):
        PAGE.write_text(scale.page(), "utf-8")
    assert PAGE.read_text("utf-8") == scale.page(), "docs/scale.md is old: run the tests once with DRAAD_WRITE=1"


@pytest.fixture
def at() -> scale.Known:
    """Round numbers, by hand."""
    quotas = {
        need.of: {"default": 1_000, "what": need.of, "ask": "", "raise": True} for need in scale.needs(scale.known(), 1)
    }
    partitions = {f"partition_{kind}_units": {"default": 1_000, "raise": False} for kind in ("write", "read")}
    return dataclasses.replace(
        scale.known(),
        units={scale.CASE: (4.0, 10.0)},
        receipt=2.0,
        ms={"hook": 10, "context": 20, "fanout": 8, "deliver": 60},
        quotas={**quotas, **partitions, "lambda_concurrency": quotas["lambda_concurrency"] | {"new_account": 10}}
        | {"lambda_scaling": {"default": 100}},
    )


def test_what_is_needed_grows_with_the_rate(at: scale.Known) -> None:
    needed = {need.what: need.amount for need in scale.needs(at, 100)}
    assert needed["containers, all functions"] == pytest.approx(9.8)
    assert needed["write units, table"] == 400
    assert needed["read units, table"] == 1_000
    assert [need.what for need in scale.over(at, 100)] == ["read units, table"]
    assert scale.over(at, 99) == []
    assert scale.new_account(at) == 102


def test_the_order_is_that_of_the_rates_at_which_quotas_are_reached(at: scale.Known) -> None:
    lines = scale.order(at).splitlines()
    assert lines[0] == "1. from 100 /s: table_read_units, needed for read units, table"
    assert "from 250 /s" in lines[1] and "write units" in lines[1]


def test_the_hottest_key_is_named_first(at: scale.Known) -> None:
    first, second, *_ = scale.keys(at)
    assert (first.key, scale.limit(at, first)) == ("`I#c#d`", 500)
    assert scale.limit(at, second) == 1_000
    dearer = dataclasses.replace(at, receipt=4.0)
    assert scale.limit(dearer, scale.keys(dearer)[0]) == 250


def test_a_shard_that_one_container_cannot_keep_up_with_is_told(at: scale.Known) -> None:
    assert "250 webhooks a second" in scale.shard(at) and "parallelization is 2 or more" in scale.shard(at)
