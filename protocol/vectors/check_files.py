#!/usr/bin/env python3
"""A second implementation of shared files: chunks, hashes, manifests and how they are fetched, written
from docs/protocol.md alone: reads shared_files.json and checks every byte. Needs what check.py needs."""

import hashlib
import hmac
import json
import pathlib
import struct

from check import Reader, label
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def geometry(size):
    chunk_bytes = 262_144
    while chunk_bytes < 4_194_304 and -(-size // chunk_bytes) > 65_536:
        chunk_bytes *= 2
    return chunk_bytes, max(1, -(-size // chunk_bytes))


def root(leaves):
    while len(leaves) > 1:
        pairs = [leaves[i : i + 2] for i in range(0, len(leaves), 2)]
        leaves = [sha256(b"\x01", *pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return leaves[0]


def control(encoded, number):
    r = Reader(bytes.fromhex(encoded))
    assert (r.fixed(1), r.uint()) == (b"\x01", number)
    return r


def check_file(v, file_id, key):
    size = v["size"]
    plain = bytes(i % 251 for i in range(size))
    chunk_bytes, count = geometry(size)
    assert len(v["chunks"]) == count
    leaves = []
    for i, chunk in enumerate(v["chunks"]):
        part = plain[i * chunk_bytes : (i + 1) * chunk_bytes]
        part += bytes(max(1, -(-len(part) // 16_384)) * 16_384 - len(part))
        nonce = struct.pack("<QI", i, i == count - 1)
        sealed = ChaCha20Poly1305(key).encrypt(nonce, part, file_id + struct.pack("<IIQ", i, count, size))
        leaves.append(sha256(b"\x00", sealed))
        assert (len(sealed), sealed[-16:].hex(), leaves[-1].hex()) == (chunk["bytes"], chunk["tag"], chunk["leaf"])
    assert (root(leaves).hex(), sha256(plain).hex()) == (v["root"], v["sha256"])
    r = control(v["shared"], 0)
    assert (r.fixed(32), r.fixed(32)) == (file_id, key)
    assert (r.text(), r.text()) == ("Brief über Öl.pdf", "application/pdf")
    assert (r.uint(), r.uint(), r.fixed(32)) == (size, chunk_bytes, root(leaves))
    assert (r.bytes(), r.fixed(32), r.text()) == (b"".join(leaves), sha256(plain), "for Sunday")
    preview = r.option(lambda: (r.uint(), r.uint(), r.bytes()))
    assert preview == ((320, 9, b"\xff\xd8") if size else None)
    assert r.option(r.uint) == (1_700_000_000_000 if size else None)
    r.done()


def check_said(v, file_id, home):
    for name, number in (("deleted", 1), ("downloaded", 2)):
        r = control(v[name], number)
        assert r.fixed(32) == file_id
        r.done()
    r = control(v["stored"], 3)
    assert r.fixed(32) == file_id
    assert r.list(lambda: (r.text(), r.fixed(32), r.fixed(32))) == [(home, bytes([5] * 32), bytes([6] * 32))]
    r.done()


def check_fetched(v, file_id):
    r = Reader(bytes.fromhex(v["leaves"]))
    assert (r.uint(), r.fixed(32)) == (0, file_id)
    r.done()
    r = Reader(bytes.fromhex(v["chunks"]))
    assert (r.uint(), r.fixed(32), r.uint(), r.uint()) == (1, file_id, 70_000, 64)
    r.done()
    headers = {"a_chunk": (0, 7, 262_160), "all_leaves": (1, 0, 96), "changed": (2, 1, 0)}
    for name, header in headers.items():
        assert struct.unpack("<BII", bytes.fromhex(v[name])) == header, name


def main():
    v = json.loads((pathlib.Path(__file__).parent / "shared_files.json").read_text())
    file_id, key = bytes.fromhex(v["file_id"]), bytes.fromhex(v["key"])
    for file in v["files"]:
        check_file(file, file_id, key)
    check_said(v["said"], file_id, v["home"])
    check_fetched(v["fetched"], file_id)
    r = {name: bytes.fromhex(value) for name, value in v["receipt"].items()}
    assert hmac.digest(key, label("blob-receipt") + r["blob"] + r["reader"], "sha256")[:16] == r["receipt"]
    print("every vector holds")


if __name__ == "__main__":
    main()
