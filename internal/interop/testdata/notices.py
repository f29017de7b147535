"""Reads delivery status notifications as bounce parsers do, with Python's email package.

For each file it prints what the file beside it with the ending .want holds: the type of what
is given back, and "recipient|action|status" for each recipient. A rule that is broken is
printed instead.
"""

import email
import email.policy
import re
import sys


def judge(path):
    with open(path, "rb") as f:
        raw = f.read()
    for number, line in enumerate(raw.replace(b"\r\n", b"\n").split(b"\n"), 1):
        if len(line) > 998:
            yield f"line {number} has {len(line)} bytes"
    message = email.message_from_bytes(raw, policy=email.policy.SMTPUTF8)
    for part in message.walk():
        for defect in part.defects:
            yield f"defect: {defect!r}"
        for name, value in part.items():
            for defect in getattr(value, "defects", ()):
                if name != "To" or raw.isascii():
                    yield f"defect of {name}: {defect!r}"
    if message["Content-Transfer-Encoding"] != "8bit" and any(part["Content-Transfer-Encoding"] == "8bit" for part in message.walk()):
        yield "a part is 8bit, but not what it is in"
    if message.get_content_type() != "multipart/report" or message.get_param("report-type") != "delivery-status":
        yield "it is no report of delivery status"
    if message["Auto-Submitted"] != "auto-replied":
        yield "Auto-Submitted"
    parts = message.get_payload()
    if parts[0].get_content_type() != "text/plain":
        yield "the first part is not for people"
    parts[0].get_content()
    if parts[1].get_content_type() != "message/delivery-status":
        yield "the second part is not for programs"
    blocks = parts[1].get_payload()
    if not re.fullmatch(r"(dns|x-local-hostname); \S+", blocks[0]["Reporting-MTA"] or ""):
        yield "Reporting-MTA"
    yield parts[2].get_content_type() if len(parts) > 2 else ""
    for block in blocks[1:]:
        if not block.keys():
            continue
        action, status = block["Action"], block["Status"]
        if action not in ("failed", "delayed", "delivered", "relayed", "expanded"):
            yield f"Action: {action}"
        if not re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", status or ""):
            yield f"Status: {status}"
        if action in ("delivered", "relayed") and status[0] != "2":
            yield f"{action} with status {status}"
        diagnostic = block["Diagnostic-Code"] or ""
        if not re.fullmatch(r"smtp; \d{3}( .*)?|x-postrider; .+", diagnostic, re.S):
            yield f"Diagnostic-Code: {diagnostic}"
        if diagnostic.startswith("smtp;") and not re.fullmatch(r"(dns|x-local-hostname); \S+", block["Remote-MTA"] or ""):
            yield "Remote-MTA"
        if block["Will-Retry-Until"] and action != "delayed":
            yield "Will-Retry-Until"
        yield f"{block['Final-Recipient']}|{action}|{status}"


for path in sys.argv[1:]:
    for line in judge(path):
        print(line)
    print("--")
