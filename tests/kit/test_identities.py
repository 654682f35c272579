"""Identifiers have one form: total, idempotent, and the same after a way through their text.

Numbers are those of the metadata that numbers are read with, so their forms are written by it too;
what is expected of a spelling never comes from the code under test.
"""

from __future__ import annotations

import itertools
import json
import unicodedata
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from chalicelib.kit import fields
from chalicelib.model.identity import CONTACT_POINTS, KINDS, Identity, parse

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "identities.json").read_text("utf-8"))
REGIONS = VECTORS["regions"].split()
TWO_SPELLINGS = {"AR": ("+549", "+54")}
"""Whose example of a mobile number is written in the longer of its two spellings."""
DIGITS = ("0123456789", "０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "०१२३४५६७८९")
BLANKS = ("", " ", "\t", "\u00a0", "\r\n", " \u3000 ")
LISTED = sorted(KINDS)
quick = settings(max_examples=150, deadline=None)


def e164(number: Any) -> str:
    return str(phonenumbers.format_number(number, PhoneNumberFormat.E164))


def examples(region: str) -> list[Any]:
    kinds = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE)
    return [phonenumbers.example_number_for_type(region, kind) for kind in kinds]


def wanted(number: Any, region: str) -> str:
    return e164(number).replace(*TWO_SPELLINGS.get(region, ("+", "+")))


def with_plus(number: Any) -> list[str]:
    whole = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    code, _, rest = whole.partition(" ")
    marks = [whole.replace(" ", mark).replace("-", mark) for mark in ("", " ", "-", ".", "\u00a0", "\u2011", "  ", "/")]
    rfc = phonenumbers.format_number(number, PhoneNumberFormat.RFC3966)
    return [e164(number), whole, rfc, rfc.removeprefix("tel:"), f"{code} ({rest})", f"({code}) {rest}", *marks]


def without_plus(number: Any, region: str) -> list[str]:
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    marks = [national.replace(" ", mark).replace("-", mark) for mark in ("", "-", ".", "\u00a0")]
    abroad = dialled_abroad(region)
    return [national, *marks, *([abroad + e164(number)[1:], f"{abroad} {with_plus(number)[1][1:]}"] if abroad else [])]


def dialled_abroad(region: str) -> str:
    """What is dialled before a country's code; empty where that names a carrier too."""
    of = phonenumbers.PhoneMetadata.metadata_for_region(region)
    prefix = str(of.preferred_international_prefix or of.international_prefix)
    return prefix if prefix.isdigit() else ""


def spelled(text: str) -> list[str]:
    digits = [text.translate(str.maketrans(DIGITS[0], script)) for script in DIGITS]
    return [*digits, f"\u00a0{text} ", text.replace("+", "＋").replace("(", "（").replace(")", "）")]


@st.composite
def numbers(draw: st.DrawFn, regions: tuple[str, ...] = tuple(REGIONS)) -> tuple[Any, str]:
    """A valid number: an example with its last digits changed, where that gives one of the same type."""
    region = draw(st.sampled_from(regions))
    found = draw(st.sampled_from(examples(region)))
    last = draw(st.from_regex(r"[0-9]{1,5}", fullmatch=True))
    drawn = phonenumbers.parse(e164(found)[: -len(last)] + last)
    types = {phonenumbers.number_type(each) for each in (found, drawn)}
    return (drawn if len(types) == 1 and phonenumbers.is_valid_number(drawn) else found), region


def assert_stable(found: Identity, region: str = "US") -> None:
    again = parse(found.text)
    assert again == Identity(found.kind, found.value, found.scope)
    assert fields.identity(again.kind, again.scope, again.value, found.assurance, region) == found
    assert found.text.isprintable() and found.text.encode()


def test_the_regions_dial_abroad_in_more_than_one_way() -> None:
    assert {"00", "011", "0011", "010", ""} <= {dialled_abroad(region) for region in REGIONS}
    assert len(REGIONS) == len(set(REGIONS)) > 30


@pytest.mark.parametrize("region", REGIONS)
def test_every_spelling_of_a_number_is_one_number(region: str) -> None:
    for number in examples(region):
        form = wanted(number, region)
        for text in (each for written in without_plus(number, region) for each in spelled(written)):
            assert fields.phone(text, region) == form, text
        for text in (each for written in with_plus(number) for each in spelled(written)):
            assert fields.phone(text, "NL" if region == "US" else "US") == fields.phone(text, "") == form, text


@quick
@given(numbers(), st.sampled_from([*REGIONS, "", "XX", "nl"]), st.data())
def test_a_number_with_a_plus_is_the_same_in_every_region(drawn: Any, other: str, data: st.DataObject) -> None:
    number, region = drawn
    form = wanted(number, region)
    own = data.draw(st.sampled_from(without_plus(number, region)).map(spelled).flatmap(st.sampled_from))
    whole = data.draw(st.sampled_from(with_plus(number)).map(spelled).flatmap(st.sampled_from))
    assert fields.phone(own, region) == fields.phone(own, region.lower()) == fields.phone(whole, other) == form
    assert_stable(Identity("phone", form), other)


@pytest.mark.parametrize("text", VECTORS["same_number"])
def test_marks_that_nobody_sees_or_dials_do_not_count(text: str) -> None:
    assert fields.phone(text, "US") == fields.phone(text, "") == "+31612345678"


@pytest.mark.parametrize("text", VECTORS["no_number"])
def test_what_is_no_number_stays_none(text: str) -> None:
    assert {fields.phone(text, region) for region in ("NL", "US", "")} == {""}


@pytest.mark.parametrize("text, form", VECTORS["one_number"])
def test_both_spellings_of_messaging_and_carriers_are_one_identity(text: str, form: str) -> None:
    for region in ("NL", "AR", "BR", "MX", ""):
        assert fields.phone_identity(text, region) == fields.phone_identity(form, region) == Identity("phone", form)


@pytest.mark.parametrize("number", VECTORS["not_folded"])
def test_other_numbers_are_not_touched(number: str) -> None:
    assert fields.phone(number) == number


@quick
@given(st.from_regex(r"[1-9][1-9]", fullmatch=True), st.from_regex(r"[2-9][0-9]{7}", fullmatch=True))
def test_only_mobile_numbers_get_the_ninth_digit(area: str, last: str) -> None:
    short, long = f"+55{area}{last}", f"+55{area}9{last}"
    assert fields.phone(short) == (long if last[0] in "6789" else short)
    assert fields.phone(long) == long


@quick
@given(numbers(("AR", "MX")), st.sampled_from(["", "NL", "AR", "MX", "US"]))
def test_the_digit_for_mobiles_abroad_does_not_count(drawn: Any, other: str) -> None:
    number, region = drawn
    form, (short, long) = wanted(number, region), {"AR": ("+54", "+549"), "MX": ("+52", "+521")}[region]
    assert fields.phone(form, other) == fields.phone(form.replace(short, long, 1), other) == form
    if phonenumbers.number_type(number) == PhoneNumberType.FIXED_LINE:
        assert form == e164(number)


@pytest.mark.parametrize("form, others", [(each[0], each[1:]) for each in VECTORS["one_mail"]])
def test_every_spelling_of_an_address_is_one_address(form: str, others: list[str]) -> None:
    for text in (form, *others):
        assert fields.email(text) == form, ascii(text)
        assert fields.email(f" {text}\u00a0") == form


@pytest.mark.parametrize("text", VECTORS["no_mail"], ids=ascii)
def test_what_is_no_address_stays_none(text: str) -> None:
    assert fields.email(text) == ""


@quick
@given(st.text(st.sampled_from("abzß0ςσéüøñјаяهیगूก中文カ한❤📙ıœ"), min_size=1, max_size=9))
@example("faß")
def test_a_domain_is_the_same_in_unicode_and_in_ascii(label: str) -> None:
    label = unicodedata.normalize("NFKC", label)
    named = label if label.isascii() else "xn--" + label.encode("punycode").decode()
    assert fields.email(f"a@{label}.nl") == fields.email(f"a@{named}.nl") == f"a@{named}.nl"


@pytest.mark.parametrize("pair", VECTORS["look_alikes"])
def test_look_alikes_are_not_folded(pair: str) -> None:
    strange, latin = pair
    for text in ("j{}n@example.nl", "jan@ex{}mple.nl"):
        found = fields.email(text.format(strange))
        assert found and found != fields.email(text.format(latin))
    mine, theirs = (fields.scoped("login", "id", f"j{letter}n") for letter in pair)
    assert mine and theirs and mine.text != theirs.text


def test_no_identifier_is_longer_than_what_stores_keep() -> None:
    domain = f"{'d' * 60}.{'e' * 60}.{'f' * 60}.nl"
    for local, size in ((64, 250), (65, 0)):
        assert len(fields.email(f"{'a' * local}@{domain}")) == size
    assert [len(fields.email(f"{'a' * local}@{domain}.com")) for local in (64, 65)] == [254, 0]
    assert len(fields.email(f"{'a' * 60}@{domain}.company")) == 254
    assert fields.email(f"{'a' * 61}@{domain}.company") == ""
    assert fields.phone("+31612345678".ljust(41)) == "" != fields.phone("+31612345678".ljust(40))
    for scope, value in ((257, 1), (1, 257)):
        assert fields.scoped("login", "s" * scope, "v" * value) is None
    assert fields.scoped("login", "s" * 256, "v" * 256)


nasty = st.sampled_from(
    "@＠.．。/%:+-_ \t\n\x00\x1f\x7f\u00a0\u00ad\u200b\u200d\u202e\u2066\ufeff\u0301\u0345ßςİıſⅷﷺ😀\ud800\udfff٣०\"'<>\\"
)
strange_text = st.text(st.one_of(nasty, st.sampled_from("aZ019"), st.characters()), max_size=40)
parts = st.one_of(
    strange_text, st.sampled_from(["jan", "example.nl", "+31612345678", "0612345678", "null", "müller.de"])
)
values = st.one_of(
    parts,
    st.builds("{}{}".format, parts, parts),
    st.builds("{}@{}".format, parts, parts),
    st.builds("+{}".format, st.from_regex(r"[0-9]{5,16}", fullmatch=True)),
    st.builds(
        str.__mul__,
        st.sampled_from(["a", "0", "ü", "\u0301", "a@", "no-reply.", "+1 ", "\ufdfa", "%2F"]),
        st.just(9999),
    ),
    st.integers(),
    st.sampled_from([10**30, -(10**40), 31612345678, float("nan"), float("inf"), 1e300, None, True, False]),
    st.floats(),
    st.binary(),
    st.lists(st.text(), max_size=2),
    st.dictionaries(st.text(), st.text(), max_size=2),
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(LISTED) | st.text(max_size=5), values, values, st.sampled_from(["NL", "US", "AR", "", "\ud800"]))
@example("fax", "scope", 10**5000, "NL")
@example("login", "s" * 9999, "u-1", "NL")
def test_every_value_is_an_identity_that_stays_or_none(kind: str, scope: Any, value: Any, region: str) -> None:
    found = fields.identity(kind, scope, value, 2, region)
    if found is not None:
        assert found.kind == kind and bool(found.scope) == (kind not in CONTACT_POINTS)
        assert len(found.value) <= fields.LONGEST_VALUE and len(found.scope) <= fields.LONGEST_VALUE
        assert_stable(found, "BR")


@settings(max_examples=600, deadline=None)
@given(values, st.sampled_from(["NL", "US", "MX"]))
@example(10**5000, "NL")
def test_contact_points_are_total_and_idempotent(value: Any, region: str) -> None:
    address, number, text = fields.email(value), fields.phone(value, region), fields.plain(value)
    assert fields.email(address) == address and fields.phone(number) == number and fields.plain(text) == text
    assert fields.nobody(text) == fields.nobody(f" {text}".upper()) or not text.isascii()


@pytest.mark.parametrize("value", VECTORS["nobody"])
def test_placeholders_are_nobody_for_every_kind(value: str) -> None:
    cased = {value, value.upper(), value.title(), value.swapcase()}
    for kind, text, blank in itertools.product(LISTED, cased, BLANKS):
        assert fields.identity(kind, "scope", f"{blank}{text}{blank}", 3) is None, (kind, text)


@pytest.mark.parametrize("value", VECTORS["no_identifier"], ids=repr)
def test_what_is_no_text_is_nobody_for_every_kind(value: Any) -> None:
    assert {fields.identity(kind, "scope", value, 3) for kind in LISTED} == {None}


@pytest.mark.parametrize("region", REGIONS)
def test_zeros_and_withheld_numbers_are_nobody_in_every_region(region: str) -> None:
    code = phonenumbers.country_code_for_region(region)
    zeros = ["0" * size for size in range(1, 18)]
    texts = zeros + [f"+{code}{each}" for each in zeros] + VECTORS["withheld_digits"] + VECTORS["withheld_written"]
    for text in (written.format(each) for each in texts for written in ("{}", " +{}", "{} ")):
        assert fields.phone_identity(text, region) is None, text
    assert fields.phone_identity(266696687, region) is None


@pytest.mark.parametrize("kind, value", VECTORS["somebody"])
def test_what_only_looks_like_a_placeholder_is_somebody(kind: str, value: str) -> None:
    found = fields.identity(kind, "scope", value, 2)
    assert found
    assert_stable(found)


TOKENS = ("/", "%", ":", "a", "%2F", "%25")
SHORT = ["".join(each) for size in range(4) for each in itertools.product(TOKENS, repeat=size)]


def test_different_identities_have_different_texts() -> None:
    """Every scope and value of up to three of the parts that could be mistaken; no scope is one too."""
    pairs = set(itertools.product(SHORT, filter(None, SHORT)))
    texts = {Identity("web", value, scope).text: (scope, value) for scope, value in pairs}
    texts |= {Identity(kind, value).text: (kind, value) for kind in ("app", "email", "fax") for value in SHORT[1:]}
    assert len(texts) == len(pairs) + 3 * len(set(SHORT[1:]))


def test_different_scopes_and_values_are_different_identities() -> None:
    some = sorted(set(SHORT[:60]) - {""})
    found = [fields.scoped("login", scope, value) for scope in some for value in some]
    assert len({each.text for each in found if each}) == len(some) ** 2
    for each in filter(None, found):
        assert_stable(each)


@settings(max_examples=400, deadline=None)
@given(st.text() | st.builds("{}:{}".format, st.sampled_from(LISTED), st.text(st.sampled_from("/%:2F5a \ud800\x00"))))
def test_any_text_is_an_identity_that_stays_or_none(text: str) -> None:
    found = parse(text)
    assert found is None or (found.kind in KINDS and found.value and parse(found.text) == found)
