"""Bodies that a provider encrypted: AES in CBC mode with PKCS #7, where whoever knows the key is believed."""

from __future__ import annotations


def aes_opened(key: bytes, iv: bytes, sealed: bytes, block: int = 16) -> bytes | None:
    """The plain bytes, or None for whatever was not sealed so. `block`: what the padding fills up to."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    if len(key) not in (16, 24, 32) or len(iv) != 16 or not sealed or len(sealed) % 16:
        return None
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    padded = decryptor.update(sealed) + decryptor.finalize()
    count = padded[-1]
    return padded[:-count] if 1 <= count <= block and padded.endswith(bytes([count]) * count) else None


def aes_sealed(key: bytes, iv: bytes, plain: bytes, block: int = 16) -> bytes:
    """Raises ValueError for a key or iv of another length."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    count = block - len(plain) % block
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(plain + bytes([count]) * count) + encryptor.finalize()
