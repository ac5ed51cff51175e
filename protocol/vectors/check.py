#!/usr/bin/env python3
"""A second implementation of records, invites, mailboxes and the vault, written
from docs/protocol.md alone: reads mailbox_and_vault.json and checks every byte.
Needs the package `cryptography` (48 or newer, for Argon2id and ML-KEM)."""

import base64
import hashlib
import hmac
import json
import pathlib
import struct
import unicodedata

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand


def label(x):
    return b"secure-chat/1/" + x.encode()


def H(x, *fields):
    return hashlib.sha256(b"".join(struct.pack("<Q", len(f)) + f for f in (label(x), *fields))).digest()


def verify(key, signature, x, *fields):
    ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, H(x, *fields))


def hkdf(salt, ikm, info, length):
    return HKDF(hashes.SHA256(), length, salt, info).derive(ikm)


def hchacha20(key, nonce):
    mask = 0xFFFFFFFF
    s = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))

    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & mask
            s[z] ^= s[x]
            s[z] = (s[z] << n | s[z] >> (32 - n)) & mask

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *s[:4], *s[12:])


def xopen(key, nonce, ad, sealed):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).decrypt(bytes(4) + nonce[16:], sealed, ad)


def unmark(padded):
    plain = padded.rstrip(b"\0")
    assert plain[-1:] == b"\x80"
    return plain[:-1]


class Reader:
    """The encoding of messages."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def fixed(self, n):
        self.at += n
        assert self.at <= len(self.data)
        return self.data[self.at - n : self.at]

    def uint(self):
        first = self.fixed(1)[0]
        if first <= 250:
            return first
        size = {251: 2, 252: 4, 253: 8}[first]
        value = int.from_bytes(self.fixed(size), "little")
        assert value > {2: 250, 4: 0xFFFF, 8: 0xFFFFFFFF}[size], "not the shortest form"
        return value

    def bytes(self):
        return self.fixed(self.uint())

    def text(self):
        return self.bytes().decode()

    def option(self, read):
        return {0: lambda: None, 1: read}[self.fixed(1)[0]]()

    def list(self, read):
        return [read() for _ in range(self.uint())]

    def identity(self):
        sig, dh, created, signature = self.fixed(32), self.fixed(32), self.uint(), self.fixed(64)
        verify(sig, signature, "id", dh, struct.pack("<Q", created))
        return sig, H("acct", sig, dh)

    def descriptor(self):
        auth, key_id, dh, kem = self.fixed(32), self.uint(), self.fixed(32), self.bytes()
        return auth, key_id, dh, kem, self.uint(), self.fixed(64)

    def done(self):
        assert self.at == len(self.data)


def check_record(encoded, previous, seq):
    r = Reader(encoded)
    assert r.fixed(1) == b"\x01" and r.text() == "Alice_1"
    sig, account = r.identity()
    for key, signature in r.list(lambda: (r.fixed(32), r.fixed(64))):
        verify(key, signature, "peer-owner", account)
    r.list(r.text), r.list(r.text)
    mailbox = r.option(r.descriptor)
    if mailbox:
        auth, key_id, dh, kem, created, signature = mailbox
        verify(sig, signature, "mailbox", auth, struct.pack("<I", key_id), dh, kem, struct.pack("<Q", created))
    assert (r.uint(), r.fixed(32)) == (seq, previous)
    r.uint()
    verify(sig, r.fixed(64), "record", encoded[:-64])
    r.done()
    return account, mailbox


def check_invite(link, account):
    scheme, payload = link.split(":")
    payload = payload.upper()
    encoded = base64.b32decode(payload + "=" * (-len(payload) % 8))
    r = Reader(encoded)
    assert scheme == "secure-chat" and r.fixed(1) == b"\x01" and r.text() == "Alice_1"
    sig, who = r.identity()
    assert who == account
    r.list(lambda: r.fixed(32)), r.list(r.text), r.list(r.text)
    r.option(lambda: r.fixed(32)), r.option(r.uint), r.fixed(16)
    verify(sig, r.fixed(64), "invite", encoded[:-64])
    r.done()


def check_mailbox(v, descriptor):
    auth, key_id, dh, kem, *_ = descriptor
    mailbox_id = H("mbox", auth)
    assert mailbox_id.hex() == v["mailbox_id"]
    # The stored form of the owner's keys: version, Ed25519 seed, count, then one key.
    keys = bytes.fromhex(v["keys"])
    dh_secret, kem_seed = keys[41:73], keys[105:169]
    e = bytes.fromhex(v["envelope"])
    header, ek, ct, body = e[:1125], e[5:37], e[37:1125], e[1125:]
    assert header[:5] == b"\x01" + struct.pack("<I", key_id)
    binding = H("mailbox-key", auth, struct.pack("<I", key_id), dh, kem)
    agreed = x25519.X25519PrivateKey.from_private_bytes(dh_secret).exchange(x25519.X25519PublicKey.from_public_bytes(ek))
    shared = mlkem.MLKEM768PrivateKey.from_seed_bytes(kem_seed).decapsulate(ct)
    okm = hkdf(bytes(32), agreed + shared, label("sealed") + H("sealed", binding, header), 44)
    padded = ChaCha20Poly1305(okm[:32]).decrypt(okm[32:], body, header)
    assert unmark(padded).hex() == v["inner"] and len(padded) % 256 == 0
    o = v["open"]
    verify(auth, bytes.fromhex(o["signature"]), "mailbox-open", *(bytes.fromhex(o[f]) for f in ("node_peer", "client_peer", "challenge")))
    s = v["stamp"]
    fields = bytes.fromhex(s["node_peer"]), mailbox_id, bytes.fromhex(s["envelope_id"]), hashlib.sha256(e).digest(), struct.pack("<Q", s["hour"])
    stamp = hashlib.sha256(H("work", *fields) + struct.pack("<Q", s["nonce"])).digest()
    assert int.from_bytes(stamp, "big") >> (256 - s["bits"]) == 0


def check_row(rows, table, record_key, schema, row, before=0):
    assert row[0] == 1
    ad = bytes([1, schema]) + b"".join(struct.pack("<I", len(f)) + f for f in (table, record_key))
    plain = unmark(xopen(rows, row[1:25], ad, row[25:]))
    n = before + 42 + len(plain) + 136
    step = max(64, (1 << (n - 1).bit_length()) // 16)
    assert before + len(row) + 136 == -(-n // step) * step
    return plain


def check_vault(v):
    h = bytes.fromhex(v["header"])
    assert len(h) == 171 and h[:10] == b"SCVAULT\0\1\1" and H("vault/header", h[:155])[:16] == h[155:]
    memory, passes, lanes = struct.unpack("<IIB", h[10:19])
    password = unicodedata.normalize("NFC", v["password"]).encode()
    root = Argon2id(salt=h[19:51], length=32, iterations=passes, lanes=lanes, memory_cost=memory).derive(password)
    okm = HKDFExpand(hashes.SHA256(), 64, label("vault/wrap") + h[:75]).derive(root)
    assert okm[32:] == h[75:107]
    master = xopen(okm[:32], h[51:75], h[:107], h[107:155])

    def purpose(p):
        return hkdf(None, master, label("vault/") + p.encode(), 32)

    def table(name, salt=None, ikm=master):
        return hkdf(salt, ikm, label("db/") + name.encode(), 64)

    assert purpose(v["derived"]["purpose"]).hex() == v["derived"]["key"]
    keys = table(v["table"])
    index = hmac.digest(keys[32:], bytes.fromhex(v["index"]["id"]), "sha256")[:16]
    assert index.hex() == v["index"]["key"]
    rows = v["rows"]
    for row in rows["sealed"]:
        plain = check_row(keys[:32], v["table"].encode(), bytes.fromhex(rows["record_key"]), rows["schema"], bytes.fromhex(row["sealed"]))
        assert plain == bytes.fromhex(rows["byte"]) * row["length"]
    file, d = bytes.fromhex(v["key_file"]), v["daily_row"]
    assert len(file) == 8192
    daily = {}
    for offset in (0, 4096):
        slot = file[offset : offset + 85]
        generation = struct.unpack("<I", slot[1:5])[0]
        assert slot[0] == 1 and (generation % 2) * 4096 == offset
        daily[generation] = xopen(purpose("key-slots"), slot[13:37], slot[:13], slot[37:])
    sealed = bytes.fromhex(d["sealed"])
    key = table(d["table"], purpose("daily"), daily[struct.unpack("<I", sealed[:4])[0]])
    plain = check_row(key[:32], d["table"].encode(), bytes.fromhex(d["record_key"]), d["schema"], sealed[4:], 4)
    assert plain.hex() == d["plaintext"]


def main():
    v = json.loads((pathlib.Path(__file__).parent / "mailbox_and_vault.json").read_text())
    previous, descriptor = bytes(32), None
    for seq, record in enumerate(v["records"], 1):
        encoded = bytes.fromhex(record["encoded"])
        account, mailbox = check_record(encoded, previous, seq)
        descriptor = descriptor or mailbox
        previous = H("record-hash", encoded)
        assert previous.hex() == record["hash"] and account.hex() == v["identity"]["account_id"]
    check_invite(v["invite"], account)
    check_mailbox(v["mailbox"], descriptor)
    for t in v["tokens"]["tokens"]:
        token = hmac.digest(bytes.fromhex(v["tokens"]["seed"]), label("token") + struct.pack("<I", t["index"]), "sha256")
        assert (token.hex(), H("token-hash", token).hex()) == (t["token"], t["hash"])
    check_vault(v["vault"])
    print("every vector holds")


if __name__ == "__main__":
    main()
