"""A client that shares nothing with this project talks to the sandbox: Python's own imaplib.

Usage: imaplib_session.py HOST PORT USER PASSWORD. Exits 0 if everything was as it should be.
"""

import email
import imaplib
import sys
import time

host, port, user, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
SEEDED = {"INBOX": 30, "Archive": 20, "Sent": 10}


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


imap = imaplib.IMAP4(host, port, timeout=20)
assert "IMAP4REV1" in imap.capabilities, imap.capabilities

try:
    imap.login(user, "not the password")
    raise AssertionError("a wrong password was accepted")
except imaplib.IMAP4.error as error:
    assert "AUTHENTICATIONFAILED" in str(error), error
ok(imap.login(user, password))

names = {line.decode().rsplit(' "/" ', 1)[1] for line in ok(imap.list())}
assert names == set(SEEDED), names
assert len(ok(imap.lsub())) == 3
assert b'"/"' in ok(imap.namespace())[0]

for name, count in SEEDED.items():
    assert ok(imap.select(name)) == [str(count).encode()]
    assert len(ok(imap.search(None, "ALL"))[0].split()) == count
    assert ok(imap.search(None, "SUBJECT", f'"message 7 of {name}"')) == [b"7"]
    assert ok(imap.uid("SEARCH", "UID", "3:5")) == [b"3 4 5"]
    header = ok(imap.fetch("7", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))[0][1]
    assert header == f"Subject: message 7 of {name}\r\n\r\n".encode(), header
    message = email.message_from_bytes(ok(imap.fetch("7", "(RFC822)"))[0][1])
    assert message["Subject"] == f"message 7 of {name}"
    assert user in message.get_payload()
    ok(imap.close())

ok(imap.select("INBOX"))
flags = ok(imap.fetch("7", "(FLAGS)"))[0]
assert b"\\Seen" in flags, flags
envelope = ok(imap.fetch("1", "(ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE UID)"))[0]
assert b'"ada" "sandbox.example"' in envelope and b'"TEXT" "plain"' in envelope, envelope

body = b"From: a@example.org\r\nSubject: appended\r\n\r\nan appended message\r\n"
ok(imap.append("Archive", r"(\Flagged)", imaplib.Time2Internaldate(time.time()), body))
ok(imap.select("Archive"))
assert ok(imap.search(None, "FLAGGED")) == [b"21"]
assert ok(imap.fetch("21", "(BODY.PEEK[])"))[0][1] == body
ok(imap.copy("21", "Sent"))
ok(imap.store("21", "+FLAGS", r"(\Deleted)"))
assert ok(imap.expunge()) == [b"21"]
assert ok(imap.search(None, "ALL"))[0].split()[-1] == b"20"

ok(imap.select("Sent", readonly=True))
assert ok(imap.search(None, "BODY", "appended"))[0] == b"11"
assert imap.store("11", "+FLAGS", r"(\Deleted)")[0] == "NO"
ok(imap.unselect())

ok(imap.create("Projects/one"))
assert imap.create("Projects/one")[0] == "NO"
ok(imap.subscribe("Projects/one"))
ok(imap.rename("Projects/one", "Projects/two"))
status = ok(imap.status("Projects/two", "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT)"))[0]
assert b"MESSAGES 0" in status and b"UIDNEXT 1" in status, status
assert b"MESSAGES 11" in ok(imap.status("Sent", "(MESSAGES)"))[0]
ok(imap.delete("Projects/two"))
ok(imap.delete("Projects"))
assert imap.select("Projects")[0] == "NO"

ok(imap.noop())
kind, _ = imap.logout()
assert kind == "BYE", kind

with imaplib.IMAP4(host, port, timeout=20) as imap:
    ok(imap.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode()))
    ok(imap.select("INBOX"))
    ok(imap.check())

print("every answer was as it should be")
