"""Clients that share nothing with this project talk to the sandbox: Python's own smtplib, poplib and imaplib.

Usage: mail_session.py SECURITY IMAP_PORT SMTP_PORT POP3_PORT USER CA_FILE, SECURITY being plain, starttls or tls; the
password is in PASSWORD. What SMTP delivers must be seen by IMAP and POP3. Exits 0 if everything was as it should be.
"""

import email.message
import imaplib
import os
import poplib
import smtplib
import ssl
import sys

security, user, ca_file = sys.argv[1], sys.argv[5], sys.argv[6]
imap_port, smtp_port, pop3_port = (int(port) for port in sys.argv[2:5])
password = os.environ["PASSWORD"]
HOST, TIMEOUT, BEFORE = "localhost", 20, 30
context = None if security == "plain" else ssl.create_default_context(cafile=ca_file)
if context:
    context.verify_flags |= ssl.VERIFY_X509_STRICT


def smtp_connection():
    if security == "tls":
        smtp = smtplib.SMTP_SSL(HOST, smtp_port, timeout=TIMEOUT, context=context)
    else:
        smtp = smtplib.SMTP(HOST, smtp_port, timeout=TIMEOUT)
    smtp.ehlo()
    if security == "starttls":
        assert not smtp.has_extn("auth") and smtp.has_extn("starttls"), smtp.esmtp_features
        smtp.starttls(context=context)
        smtp.ehlo()
    assert not smtp.has_extn("starttls") and smtp.has_extn("pipelining"), smtp.esmtp_features
    return smtp


def pop3_connection():
    if security == "tls":
        pop3 = poplib.POP3_SSL(HOST, pop3_port, timeout=TIMEOUT, context=context)
    else:
        pop3 = poplib.POP3(HOST, pop3_port, timeout=TIMEOUT)
    if security == "starttls":
        assert "STLS" in pop3.capa() and "USER" not in pop3.capa()
        pop3.stls(context=context)
    assert {"TOP", "UIDL", "USER", "PIPELINING"} <= set(pop3.capa()), pop3.capa()
    return pop3


def imap_connection():
    if security == "tls":
        imap = imaplib.IMAP4_SSL(HOST, imap_port, timeout=TIMEOUT, ssl_context=context)
    else:
        imap = imaplib.IMAP4(HOST, imap_port, timeout=TIMEOUT)
    if security == "starttls":
        assert "LOGINDISABLED" in imap.capabilities, imap.capabilities
        imap.starttls(context)
    assert "LOGINDISABLED" not in imap.capabilities, imap.capabilities
    return imap


def raises(kind, words, call):
    try:
        call()
    except kind as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"no {kind}")


message = email.message.EmailMessage()
message["From"] = "ada@sandbox.example"
message["To"] = f"{user}@sandbox.example"
message["Subject"] = "by smtplib"
message["Message-ID"] = "<smtplib@tests>"
BODY = "\r\n".join(["first", ".", "..two dots", "", ". a dot", "last", ""])
message.set_content(BODY.replace("\r\n", "\n"))

with smtp_connection() as smtp:
    raises(smtplib.SMTPAuthenticationError, "535", lambda: smtp.login(user, "not the password"))
    smtp.login(user, password)
    assert smtp.noop()[0] == 250 and smtp.verify(user)[0] == 252 and smtp.verify("nobody")[0] == 550
    refused = smtp.send_message(message, to_addrs=[f"{user}@sandbox.example", "nobody@sandbox.example"])
    assert list(refused) == ["nobody@sandbox.example"] and refused["nobody@sandbox.example"][0] == 550, refused
    raises(smtplib.SMTPRecipientsRefused, "550", lambda: smtp.send_message(message, to_addrs=["nobody"]))
    del message["Message-ID"]
    message["Message-ID"] = "<smtplib.second@tests>"
    assert smtp.send_message(message, to_addrs=[user]) == {}
with smtp_connection() as smtp:
    smtp.user, smtp.password = user, password
    assert smtp.auth("LOGIN", smtp.auth_login)[0] == 235

imap = imap_connection()
assert imap.login(user, password)[0] == "OK"
assert imap.select("INBOX")[1] == [str(BEFORE + 2).encode()]
fetched = imap.fetch(str(BEFORE + 1), "(BODY.PEEK[])")[1][0][1]
by_imap = email.message_from_bytes(fetched)
assert by_imap["Message-ID"] == "<smtplib@tests>" and by_imap["Return-Path"] == "<ada@sandbox.example>", by_imap
assert fetched.split(b"\r\n\r\n", 1)[1].decode() == BODY, fetched
assert imap.append("Archive", None, None, b"Subject: by imaplib\r\n\r\nx\r\n")[0] == "OK"
assert imap.create("Scratch")[0] == "OK" and imap.delete("Scratch")[0] == "OK"

pop3 = pop3_connection()
pop3.user(user)
raises(poplib.error_proto, "[AUTH]", lambda: pop3.pass_("not the password"))
pop3.user(user)
pop3.pass_(password)
count, size = pop3.stat()
assert count == BEFORE + 2
_, listing, _ = pop3.list()
assert sum(int(line.split()[1]) for line in listing) == size
assert len({line.split()[1] for line in pop3.uidl()[1]}) == count
_, lines, octets = pop3.retr(count - 1)
assert b"\r\n".join(lines + [b""]) == fetched, lines
assert octets == int(pop3.list(count - 1).split()[2])
_, top, _ = pop3.top(count, 1)
assert top[-2:] == [b"", b"first"], top

other = pop3_connection()
other.user(user)
raises(poplib.error_proto, "[IN-USE]", lambda: other.pass_(password))
other.quit()

pop3.dele(1)
pop3.rset()
pop3.dele(count)
raises(poplib.error_proto, "-ERR", lambda: pop3.retr(count))
assert pop3.stat()[0] == count - 1
pop3.quit()

assert imap.noop()[0] == "OK" and imap.response("EXPUNGE")[1] == [str(count).encode()]
assert imap.logout()[0] == "BYE"

print("every answer was as it should be")
