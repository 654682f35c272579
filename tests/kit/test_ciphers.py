"""AES in CBC mode: what openssl sealed opens; nothing else does."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.kit.ciphers import aes_opened, aes_sealed

KEY, IV = bytes(range(32)), bytes(range(16))


@pytest.mark.parametrize("plain", [b"", b"x", b"x" * 15, b"x" * 16, "geheim € ".encode() * 50])
def test_what_openssl_sealed_opens(plain: bytes) -> None:
    command = ["openssl", "enc", "-aes-256-cbc", "-K", KEY.hex(), "-iv", IV.hex()]
    sealed = subprocess.run(command, input=plain, capture_output=True, check=True).stdout
    assert aes_opened(KEY, IV, sealed) == plain and aes_sealed(KEY, IV, plain) == sealed


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100), st.sampled_from([16, 32]))
def test_there_and_back(plain: bytes, block: int) -> None:
    sealed = aes_sealed(KEY, IV, plain, block)
    assert len(sealed) % block == 0 and aes_opened(KEY, IV, sealed, block) == plain
    assert aes_opened(KEY[::-1], IV, sealed, block) != plain


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=20), st.binary(max_size=100))
def test_garbage_opens_nothing_and_raises_nothing(key: bytes, iv: bytes, sealed: bytes) -> None:
    for each in (key, KEY):
        for start in (iv, IV):
            found = aes_opened(each, start, sealed)
            assert found is None or len(found) < len(sealed)
