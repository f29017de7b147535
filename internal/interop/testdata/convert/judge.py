"""Judges conversions: judge.py BEFORE AFTER compares the messages of two folders
by what Python's email package reads, and prints a line for each that differs and
at the end how many there were."""
import email
import email.policy
import os
import sys

COMPAT = email.policy.compat32

# What a conversion may change in a header, or add to it.
MINE = {"content-transfer-encoding", "mime-version"}


def read(data, path=""):
    """Gives each part as (path, type, header, bytes)."""
    msg = email.message_from_bytes(data, policy=COMPAT)
    yield from walk(msg, path)


def walk(msg, path):
    yield path, msg.get_content_type(), header(msg)
    encoding = str(msg.get("Content-Transfer-Encoding", "")).lower()
    if msg.get_content_maintype() == "message" and encoding in ("base64", "quoted-printable"):
        # The email package does not decode it before it looks into it, as it
        # should since RFC 6532; so it is done here.
        raw = email.message.Message(policy=COMPAT)
        raw["Content-Transfer-Encoding"] = encoding
        raw.set_payload(body_of(msg))
        yield from read(raw.get_payload(decode=True), path + ".0")
    elif msg.is_multipart():
        for i, part in enumerate(msg.get_payload()):
            yield from walk(part, "%s.%d" % (path, i))
    else:
        yield path, msg.get_payload(decode=True)


def body_of(msg):
    """What stood in the body, which was taken for a message."""
    return msg.get_payload(0).as_bytes(policy=COMPAT.clone(max_line_length=0, linesep="\r\n")).decode("ascii")


def header(msg):
    fields = [(k, v) for k, v in msg.raw_items() if k.lower() not in MINE]
    return [f for f in fields if f != ("Content-Type", "text/plain; charset=unknown-8bit")]


before, after = sys.argv[1:]
names = sorted(os.listdir(before))
for name in names:
    parts = []
    for folder in before, after:
        with open(os.path.join(folder, name), "rb") as f:
            parts.append(list(read(f.read())))
    if parts[0] != parts[1]:
        difference = next((p for p in zip(*parts) if p[0] != p[1]), "their number")
        print("%s: %r" % (name, difference))
print("%d judged" % len(names))
