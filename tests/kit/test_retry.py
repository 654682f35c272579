import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.kit import retry

NOW = 1_788_264_000.0
DAY = 86400
fraction = st.floats(0, 1, exclude_max=True)


@settings(deadline=None)
@given(st.integers(-5, 10**6), st.integers(0, 3 * DAY * 1000 - 1), st.none() | st.floats(), fraction)
def test_delays_stay_within_bounds(attempts: int, passed: int, asked: float | None, random01: float) -> None:
    delay = retry.next_attempt(attempts, 0, passed, asked, random01)
    assert delay is not None
    assert 1 <= delay <= DAY + retry.BASE_SECONDS
    if asked is None:
        assert delay <= 3600


@settings(deadline=None)
@given(st.integers(1, 100), st.integers(3 * DAY * 1000, 10**12), st.none() | st.floats(), fraction)
def test_after_three_days_it_parks(attempts: int, passed: int, asked: float | None, random01: float) -> None:
    assert retry.next_attempt(attempts, 0, passed, asked, random01) is None


def test_the_three_days_begin_with_the_first_attempt() -> None:
    first = int(NOW * 1000)
    assert retry.next_attempt(9, first, first + 3 * DAY * 1000 - 1, None, 0.5) is not None
    assert retry.next_attempt(9, first, first + 3 * DAY * 1000, None, 0.5) is None


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(1, DAY), fraction)
def test_what_was_asked_for_is_a_floor(attempts: int, asked: float, random01: float) -> None:
    delay = retry.next_attempt(attempts, 0, 0, asked, random01)
    assert delay is not None
    assert delay >= asked


@settings(deadline=None)
@given(st.integers(1, 40), fraction)
def test_jitter_is_full_and_its_ceiling_doubles_up_to_an_hour(attempts: int, random01: float) -> None:
    ceiling = min(3600.0, 5.0 * 2 ** (attempts - 1))
    assert retry.next_attempt(attempts, 0, 0, None, random01) == max(1.0, random01 * ceiling)


def test_three_days_of_average_waits_are_a_bounded_number_of_attempts() -> None:
    now, attempts = 0, 1
    while (delay := retry.next_attempt(attempts, 0, now, None, 0.5)) is not None:
        now, attempts = now + int(delay * 1000), attempts + 1
    assert 100 < attempts < 200


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("0", 1.0),
        ("2.5", 2.5),
        ("99999999999", float(DAY)),
        ("Tue, 01 Sep 2026 08:01:00 GMT", 60.0),
        ("Tuesday, 01-Sep-26 08:01:00 GMT", 60.0),
        ("Tue, 01 Sep 2026 10:01:00 +0200", 60.0),
        ("Tue, 01 Sep 2026 08:01:00", 60.0),
        ("Tue, 01 Sep 2026 07:00:00 GMT", 1.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", float(DAY)),
        ("", None),
        ("-5", None),
        ("inf", None),
        ("nan", None),
        ("1e9", None),
        ("soon", None),
        ("1_0", None),
        ("٣", None),
        ("9" * 400, None),
        ("Tue, 99 Sep 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry.retry_after(value, NOW - NOW % DAY + 8 * 3600) == seconds


@settings(deadline=None)
@given(st.text())
def test_retry_after_is_total(value: str) -> None:
    found = retry.retry_after(value, NOW)
    assert found is None or (1 <= found <= DAY and not math.isnan(found))
