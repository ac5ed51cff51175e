#!/usr/bin/env python3
"""A second implementation of the directory's entries, logs of groups and blobs, written from
docs/protocol.md alone: reads node_services.json and checks every byte. Needs what check.py needs."""

import hashlib
import hmac
import json
import pathlib
import struct

from check import H, Reader, label, verify
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519


def derive(key, purpose):
    return hmac.digest(key, label(purpose), "sha256")


def check_listing(v):
    r = Reader(bytes.fromhex(v["publish"]))
    assert (r.uint(), r.uint()) == (16, 0), "Directory, Publish"
    encoded = r.bytes()
    r.done()
    r = Reader(encoded)
    assert r.fixed(1) == b"\x01" and r.fixed(32) == bytes([7] * 32)
    assert (r.text(), r.text(), r.uint(), r.uint()) == ("Rust Fans", "Ferris and friends", 1, 300)
    admins = r.list(lambda: (r.fixed(32), r.list(r.text)))
    seq, issued, expires = r.uint(), r.uint(), r.uint()
    assert seq == 3 and 0 < expires - issued <= 30 * 86_400_000
    sig, author = r.identity()
    assert author.hex() == v["author"] and [a for a, _ in admins] == [author]
    assert all(home.startswith("/") and "/p2p/" in home for _, homes in admins for home in homes)
    verify(sig, r.fixed(64), "directory", encoded[:-64])
    r.done()


def check_log(v):
    secret, node = bytes.fromhex(v["group_secret"]), bytes.fromhex(v["node_peer"])
    private = ed25519.Ed25519PrivateKey.from_private_bytes(derive(secret, "log-write"))
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    write_key, token = private.public_key().public_bytes(*raw), derive(secret, "log-read")
    log = H("log", write_key)
    assert log.hex() == v["log_id"]
    r = Reader(bytes.fromhex(v["append"]))
    assert (r.uint(), r.uint()) == (17, 0), "GroupLog, Append"
    assert (r.fixed(32), r.fixed(32)) == (write_key, H("log-read-hash", token))
    entry_id, entry, signature = r.fixed(16), r.bytes(), r.fixed(64)
    digest = hashlib.sha256(entry).digest()
    verify(write_key, signature, "log-append", node, H("log-read-hash", token), entry_id, digest)
    hour, nonce = r.option(lambda: (r.uint(), r.uint()))
    r.done()
    subject = H("work", node, log, entry_id, digest, struct.pack("<Q", hour))
    stamp = hashlib.sha256(subject + struct.pack("<Q", nonce)).digest()
    assert int.from_bytes(stamp, "big") >> (256 - v["bits"]) == 0
    r = Reader(bytes.fromhex(v["read"]))
    assert (r.uint(), r.uint()) == (17, 1), "GroupLog, Read"
    assert (r.fixed(32), r.fixed(32), r.uint(), r.uint()) == (log, token, 70_000, 1 << 20)
    r.done()
    r = Reader(bytes.fromhex(v["answer"]))
    assert r.uint() == 13, "Log"
    assert r.list(lambda: (r.uint(), r.fixed(16), r.bytes())) == [(1 << 24, entry_id, entry)]
    assert r.fixed(1) == b"\x01"
    r.done()


def check_blob(v):
    seed = bytes.fromhex(v["seed"])
    owner, reader = derive(seed, "blob-owner"), derive(seed, "blob-read")
    hashes = H("blob-owner-hash", owner), H("blob-read-hash", reader)
    blob = H("blob", *hashes)
    assert blob.hex() == v["blob_id"]
    r = Reader(bytes.fromhex(v["create"]))
    assert (r.uint(), r.uint()) == (18, 0), "Blob, Create"
    assert (r.fixed(32), r.fixed(32)) == hashes
    assert (r.uint(), r.uint(), r.uint(), r.uint()) == (262_160, 20, 168, 0)
    r.done()
    r = Reader(bytes.fromhex(v["put"]))
    assert (r.uint(), r.uint(), r.fixed(32), r.fixed(32), r.uint()) == (18, 1, blob, owner, 19)
    assert r.bytes() == bytes([6] * 40)
    r.done()
    r = Reader(bytes.fromhex(v["get"]))
    assert (r.uint(), r.uint(), r.fixed(32), r.fixed(32), r.uint()) == (18, 2, blob, reader, 19)
    r.done()
    r = Reader(bytes.fromhex(v["state"]))
    assert (r.uint(), r.uint(), r.uint()) == (14, 262_160, 20)
    present = r.bytes()
    assert (r.uint(), r.uint()) == (2, 100)
    r.done()
    assert [i for i in range(20) if present[i // 8] >> (i % 8) & 1] == v["there"]


def main():
    v = json.loads((pathlib.Path(__file__).parent / "node_services.json").read_text())
    check_listing(v["listing"])
    check_log(v["log"])
    check_blob(v["blob"])
    print("every vector holds")


if __name__ == "__main__":
    main()
