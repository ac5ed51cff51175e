#!/usr/bin/env python3
"""A second implementation of identities, prekeys, the handshake and the Double
Ratchet, written from docs/protocol.md alone: plays both sides of the
conversations in sessions.json with the random draws given there, and comes to
the same bytes. Needs the package `cryptography` (48 or newer, for ML-KEM)."""

import hashlib
import hmac
import json
import pathlib
import struct

from check import H, Reader, hchacha20, hkdf, label, unmark, verify, xopen
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


def unhex(text):
    return bytes.fromhex(text)


def u64(value):
    return struct.pack("<Q", value)


def xseal(key, nonce, ad, plain):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).encrypt(bytes(4) + nonce[16:], plain, ad)


def public(secret):
    return x25519.X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def dh(secret, theirs):
    return x25519.X25519PrivateKey.from_private_bytes(secret).exchange(x25519.X25519PublicKey.from_public_bytes(theirs))


def kem(seed):
    return mlkem.MLKEM768PrivateKey.from_seed_bytes(seed)


def padded(plain):
    step = 256 if len(plain) + 1 <= 4096 else 4096
    return (plain + b"\x80").ljust(-(-(len(plain) + 1) // step) * step, b"\0")


class Person:
    def __init__(self, v):
        self.sig_seed, self.dh_secret = unhex(v["sig_seed"]), unhex(v["dh_secret"])
        self.signing = ed25519.Ed25519PrivateKey.from_private_bytes(self.sig_seed)
        self.sig_key, self.dh_key = self.signing.public_key().public_bytes_raw(), public(self.dh_secret)
        self.account = H("acct", self.sig_key, self.dh_key)
        created = u64(v["created"])
        signature = self.signing.sign(H("id", self.dh_key, created))
        self.wire = self.sig_key + self.dh_key + b"\xfd" + created + signature
        assert self.wire.hex() == v["wire"] and self.account.hex() == v["account_id"]
        assert (b"\1" + self.sig_seed + self.dh_secret + self.dh_key + created).hex() == v["stored"]
        self.signed, self.kit = v["signed_prekey"], v["kit"]
        self.check_signed(Reader(unhex(self.signed["wire"])))
        self.check_kit(Reader(unhex(self.kit["wire"])))

    def check_signed(self, r):
        version, id_, key, kem_key = r.fixed(1), r.fixed(16), r.fixed(32), r.fixed(1184)
        created, expires, signature = r.uint(), r.uint(), r.fixed(64)
        fields = (self.account, version, id_, key, kem_key, u64(created), u64(expires))
        verify(self.sig_key, signature, "spk", *fields)
        assert version == b"\1" and expires - created == 37 * 86_400_000
        self.check_secrets(self.signed, id_, key, kem_key)

    def check_kit(self, r):
        id_, key, kem_key, signature = r.fixed(16), r.fixed(32), r.fixed(1184), r.fixed(64)
        verify(self.sig_key, signature, "kit", self.account, id_, key, kem_key)
        self.check_secrets(self.kit, id_, key, kem_key)

    def check_secrets(self, v, id_, key, kem_key):
        assert id_.hex() == v["id"] and public(unhex(v["dh_secret"])) == key
        assert kem(unhex(v["kem_seed"])).public_key().public_bytes_raw() == kem_key


def prekey_fields(v):
    key = kem(unhex(v["kem_seed"])).public_key().public_bytes_raw()
    return unhex(v["id"]), public(unhex(v["dh_secret"])), key


def handshake(alice, bob, with_kit, ephemeral, started, ciphertext):
    """TH, and the root and header keys: computed with Alice's secrets, and again with Bob's."""
    signed_secret, kit_secret = unhex(bob.signed["dh_secret"]), unhex(bob.kit["dh_secret"])
    ek = public(ephemeral)
    named = bob.kit if with_kit else bob.signed
    shared = kem(unhex(named["kem_seed"])).decapsulate(ciphertext)
    hers = [dh(alice.dh_secret, public(signed_secret)), dh(ephemeral, bob.dh_key), dh(ephemeral, public(signed_secret))]
    his = [dh(signed_secret, alice.dh_key), dh(bob.dh_secret, ek), dh(signed_secret, ek)]
    prekeys = list(prekey_fields(bob.signed))
    if with_kit:
        hers.append(dh(ephemeral, public(kit_secret)))
        his.append(dh(kit_secret, ek))
        prekeys += prekey_fields(bob.kit)
    assert hers == his
    identities = (alice.sig_key, alice.dh_key, bob.sig_key, bob.dh_key)
    th = H("hs", b"\1", bytes([with_kit]), *identities, u64(started), *prekeys, ek, ciphertext)
    out = hkdf(bytes(32), b"\xff" * 32 + b"".join(hers) + shared, label("hs") + th, 128)
    return th, out[:32], out[32:64], out[64:96]


class Ratchet:
    """One side's Double Ratchet."""

    def __init__(self, th, root, next_sending, next_receiving):
        self.th, self.root = th, root
        self.next_sending, self.next_receiving = next_sending, next_receiving
        self.own = self.theirs = self.sending = None
        self.previous, self.receiving = 0, []

    def turn(self, secret, theirs):
        out = hkdf(self.root, dh(secret, theirs), label("dr/root"), 96)
        self.root = out[:32]
        return out[32:64], out[64:96]

    def begin_chain(self, secret):
        chain, following = self.turn(secret, self.theirs)
        self.own, self.sending = secret, [self.next_sending, chain, 0]
        self.next_sending, self.theirs = following, None

    @staticmethod
    def step(chain):
        return hmac.digest(chain, b"\1", "sha256"), hmac.digest(chain, b"\2", "sha256")

    def body(self, key, nonce):
        return ChaCha20Poly1305(HKDFExpand(hashes.SHA256(), 32, label("dr/msg") + nonce).derive(key))

    def encrypt(self, frame, plain, draws):
        if self.theirs is not None:
            self.begin_chain(unhex(draws.pop(0)))
        header_key, chain, number = self.sending
        key, self.sending[1] = self.step(chain)
        self.sending[2] += 1
        nonce = unhex(draws.pop(0))
        header = xseal(header_key, nonce, frame, b"\0" + public(self.own) + struct.pack("<II", self.previous, number))
        sealed = self.body(key, nonce).encrypt(bytes(12), padded(plain), self.th + frame + nonce + header)
        return nonce + header + sealed

    def decrypt(self, frame, message):
        nonce, header, body = message[:24], message[24:81], message[81:]
        for chain in reversed(self.receiving):
            try:
                plain = xopen(chain["header"], nonce, frame, header)
                break
            except Exception:
                pass
        else:
            plain = xopen(self.next_receiving, nonce, frame, header)
            self.receive_chain(plain[1:33], struct.unpack("<I", plain[33:37])[0])
            chain = self.receiving[-1]
        number = struct.unpack("<I", plain[37:41])[0]
        assert plain[0] == 0 and len(plain) == 41
        self.skip(chain, number + 1)
        opened = self.body(chain["keys"].pop(number), nonce).decrypt(bytes(12), body, self.th + frame + nonce + header)
        assert padded(unmark(opened)) == opened
        return unmark(opened)

    def receive_chain(self, theirs, previous):
        if self.receiving:
            self.skip(self.receiving[-1], previous)
        header_key = self.next_receiving
        chain, self.next_receiving = self.turn(self.own, theirs)
        self.receiving.append({"header": header_key, "chain": chain, "next": 0, "keys": {}})
        self.previous, self.theirs = self.sending[2] if self.sending else 0, theirs

    def skip(self, chain, to):
        while chain["next"] < to:
            chain["keys"][chain["next"]], chain["chain"] = self.step(chain["chain"])
            chain["next"] += 1


def check_conversation(alice, bob, v):
    ephemeral, _encapsulation, first_key = map(unhex, v["initiate_draws"])
    wire = alice.wire and bob.wire + unhex(bob.signed["wire"])
    wire += b"\1" + unhex(bob.kit["wire"]) if v["kit"] else b"\0"
    assert wire.hex() == v["bundle"]

    # What Alice sends before her messages until Bob has answered.
    first = unhex(v["messages"][0]["ciphertext"])
    length = struct.unpack("<H", first[2:4])[0]
    initial = first[4 : 4 + length]
    r = Reader(initial)
    assert r.fixed(1) == b"\1" and r.fixed(len(alice.wire)) == alice.wire
    started, ek, signed_id = r.uint(), r.fixed(32), r.fixed(16)
    kit_id = r.option(lambda: r.fixed(16))
    ciphertext = r.fixed(1088)
    assert r.at == length and ek == public(ephemeral) and signed_id.hex() == bob.signed["id"]
    assert kit_id == (unhex(bob.kit["id"]) if v["kit"] else None)

    th, root, hers, his = handshake(alice, bob, v["kit"], ephemeral, started, ciphertext)
    signed_secret = unhex(bob.signed["dh_secret"])
    sides = {"alice": Ratchet(th, root, hers, his), "bob": Ratchet(th, root, his, hers)}
    sides["alice"].theirs = public(signed_secret)
    sides["alice"].begin_chain(first_key)
    sides["bob"].own = signed_secret

    answered = False
    for event in v["events"]:
        action, index = event.split()
        m = v["messages"][int(index)]
        message = unhex(m["ciphertext"])
        if action == "send":
            head = b"\1\2" if m["from"] == "alice" and not answered else b"\1\1"
            prefix = head + (struct.pack("<H", length) + initial if head[1] == 2 else b"")
            draws = list(m["draws"])
            assert prefix + sides[m["from"]].encrypt(head, unhex(m["plaintext"]), draws) == message and not draws, event
        else:
            to = "bob" if m["from"] == "alice" else "alice"
            skip = 4 + length if message[1] == 2 else 2
            assert sides[to].decrypt(message[:2], message[skip:]).hex() == m["plaintext"], event
            answered = answered or to == "alice"


def half(person):
    keys = person.sig_key + person.dh_key
    digest = hashlib.sha512(label("safety") + keys).digest()
    for _ in range(5199):
        digest = hashlib.sha512(digest + keys).digest()
    return digest


def main():
    v = json.loads((pathlib.Path(__file__).parent / "sessions.json").read_text())
    h = v["hash_of_fields"]
    assert H(h["purpose"], *map(unhex, h["fields"])).hex() == h["hash"]
    alice, bob = Person(v["alice"]), Person(v["bob"])
    s = v["signature"]
    verify(alice.sig_key, unhex(s["signature"]), s["purpose"], *map(unhex, s["fields"]))
    for p in v["padding"]:
        assert len(padded(bytes(p["length"]))) == p["padded"]
    assert padded(unhex(v["padded"]["plaintext"])).hex() == v["padded"]["padded"]
    halves = sorted([half(alice), half(bob)])
    groups = [int.from_bytes(x[i : i + 5], "big") % 100_000 for x in halves for i in range(0, 30, 5)]
    assert " ".join(f"{g:05}" for g in groups) == v["safety_number"]["digits"]
    assert "secure-chat-safety:1:" + halves[0].hex() + halves[1].hex() == v["safety_number"]["qr"]
    for conversation in v["conversations"]:
        check_conversation(alice, bob, conversation)
    print("every vector holds")


if __name__ == "__main__":
    main()
