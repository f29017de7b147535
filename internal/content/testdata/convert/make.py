#!/usr/bin/env python3
"""Makes the messages of this folder: half of them written here, byte by byte,
and half by other programs. Dates, boundaries and message identifiers are fixed,
so that a run gives the same files; only signatures differ.

    apt-get install mutt s-nail mpack swaks libmime-lite-perl libemail-mime-perl gnupg openssl git
    ./make.py

What is to become of each message stands in expect.txt, which is written by hand.
"""
import email.message
import email.policy
import os
import re
import shutil
import subprocess
import tempfile
from email.mime.application import MIMEApplication
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

HERE = os.path.dirname(os.path.abspath(__file__))
DATE = "Fri, 02 Jan 2026 03:04:05 +0000"
HEAD = "From: ann@example.org\nTo: bob@example.net\nSubject: %s\nDate: " + DATE + "\n"
GERMAN = "Grüße aus Köln, schöne Füße, heiße Öfen.\nNoch eine Zeile: äöüß\n"
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю.\n"
written = set()


def save(name, data):
    if isinstance(data, str):
        data = data.encode("utf-8")
    assert name not in written, name
    written.add(name)
    with open(os.path.join(HERE, name + ".eml"), "wb") as f:
        f.write(data)


def crlf(text):
    return text.replace("\n", "\r\n")


def latin(text):
    return text.encode("latin-1")


# What other programs choose at random is made fixed.
def fixed(data):
    data = re.sub(rb"(?m)^Date: .*", b"Date: " + DATE.encode(), data)
    data = re.sub(rb"(?mi)^Message-ID: .*", b"Message-ID: <fixed@example.org>", data)
    data = re.sub(rb"(?m)^User-Agent: .*", b"User-Agent: a mail program", data)
    data = re.sub(rb"(?m)^Subject: test .*", b"Subject: test", data)
    found = re.findall(rb'boundary="?([^";\r\n]+)"?', data)
    for i, b in enumerate(sorted(set(found), key=found.index)):
        if len(b) > 4:  # mpack's is a hyphen
            data = data.replace(b, b"=_fixed_%d" % i)
    return data


def run(*command, stdin=None, **kw):
    if isinstance(stdin, str):
        stdin = stdin.encode()
    return subprocess.run(command, input=stdin, check=True, stdout=subprocess.PIPE, **kw).stdout


class Work:
    """A folder for programs that want files."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp()
        return self

    def __exit__(self, *a):
        shutil.rmtree(self.dir)

    def file(self, name, data):
        path = os.path.join(self.dir, name)
        with open(path, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        return path


EIGHT = email.policy.compat32.clone(cte_type="8bit", max_line_length=0)


def text8(text, charset="utf-8", subtype="plain"):
    """A text part in 8bit, as Python's email writes it."""
    part = email.message.Message(policy=EIGHT)
    part["MIME-Version"] = "1.0"
    part["Content-Type"] = 'text/%s; charset="%s"' % (subtype, charset)
    part["Content-Transfer-Encoding"] = "8bit"
    part.set_payload(text.encode(charset).decode("ascii", "surrogateescape"))
    return part


def addressed(msg, subject):
    for k, v in (("From", "ann@example.org"), ("To", "bob@example.net"), ("Subject", subject), ("Date", DATE)):
        msg[k] = v
    return msg


def multi(subtype, boundary, *parts, **params):
    m = MIMEMultipart(subtype, boundary=boundary, policy=EIGHT, **params)
    for p in parts:
        m.attach(p)
    return m


def flat(msg):
    return msg.as_bytes(policy=EIGHT)


# ---------------------------------------------------------------- nested
def nested():
    alt = lambda b: multi("alternative", b, text8(GERMAN), text8("<p>" + GERMAN + "</p>\n", subtype="html"))
    rel = lambda b: multi("related", b, alt(b + "a"), MIMEApplication(bytes(range(256)), policy=EIGHT))
    save("nested-01-python", flat(addressed(multi("mixed", "py1", rel("py1r"), text8(RUSSIAN)), "nested")))
    save("nested-02-python", flat(addressed(multi("mixed", "py2", multi("mixed", "py2b", multi("mixed", "py2c", text8("é\n", "latin-1"), text8("plain\n")), text8("ü\n", "latin-1"))), "nested")))
    deep = text8("tief: ü\n")
    for i in range(12):
        deep = multi("mixed", "deep%02d" % i, deep, text8("Ebene %d: ß\n" % i))
    save("nested-03-python", flat(addressed(deep, "twelve deep")))
    save("nested-04-hand", HEAD % "boundaries that begin alike" + """MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=abc

--abc
Content-Type: multipart/alternative; boundary=abcd

--abcd
Content-Type: multipart/related; boundary="abcde"

--abcde
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

drei tief: ü
--abc is no line of its own here: é
--abcde--
--abcd
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

<b>ü</b>
--abcd--
--abc--
""")
    save("nested-05-hand", crlf(HEAD % "labels" + """Mime-Version: 1.0 (made by hand)
Content-Type: Multipart/Mixed;
 boundary="outer boundary"
Content-Transfer-Encoding: 8BIT

Text before the parts.
--outer boundary
content-type: multipart/mixed; Boundary = inner
content-transfer-encoding: Binary

--inner
Content-Type: multipart/parallel; boundary="==3"

--==3
Content-Type: application/x-thing; name="thing"
Content-Transfer-Encoding: 8bit

eins ä
zwei ö

--==3--
--inner--
--outer boundary
Content-Type: text/plain
Content-Transfer-Encoding: 8bit

ASCII only, though it says 8bit.
--outer boundary--
Text behind the parts.
"""))
    save("nested-06-perl", fixed(run("perl", "-e", r'''
use Email::MIME; use utf8;
my @t = map { Email::MIME->create(attributes => {content_type => $_, charset => "utf-8", encoding => "8bit"}, body => "\xc3\xa4\xc3\xb6\xc3\xbc $_\n") } ("text/plain", "text/html");
my $alt = Email::MIME->create(attributes => {content_type => "multipart/alternative"}, parts => [@t]);
my $rel = Email::MIME->create(attributes => {content_type => "multipart/related"}, parts => [$alt, Email::MIME->create(attributes => {content_type => "image/gif", encoding => "base64"}, body => "GIF89a\xff")]);
my $m = Email::MIME->create(header => [From => 'ann@example.org', To => 'bob@example.net', Subject => "nested"], attributes => {content_type => "multipart/mixed"}, parts => [$rel, Email::MIME->create(attributes => {content_type => "text/plain", charset => "utf-8", encoding => "8bit"}, body => "\xe2\x82\xac\n")]);
print $m->as_string;''')))
    save("nested-07-perl", fixed(run("perl", "-e", r'''
use MIME::Lite;
my $m = MIME::Lite->new(From => 'ann@example.org', To => 'bob@example.net', Subject => 'nested', Type => 'multipart/mixed');
my $a = MIME::Lite->new(Type => 'multipart/related');
my $b = MIME::Lite->new(Type => 'multipart/alternative');
$b->attach(Type => 'text/plain; charset=iso-8859-1', Encoding => '8bit', Data => "gr\xfc\xdfe\n");
$b->attach(Type => 'text/html; charset=iso-8859-1', Encoding => '8bit', Data => "<p>gr\xfc\xdfe</p>\n");
$a->attach($b); $m->attach($a); $m->attach(Type => 'application/octet-stream', Encoding => 'binary', Data => join('', map chr, 128..255));
print $m->as_string;''')))


# ---------------------------------------------------------------- messages in messages
def messages():
    inner = addressed(text8(GERMAN), "inner")
    save("message-01-python", flat(addressed(multi("mixed", "m1", text8("siehe unten: ü\n"), MIMEMessage(inner, policy=EIGHT)), "forwarded")))
    inner = addressed(multi("mixed", "m2i", text8(RUSSIAN), MIMEMessage(addressed(text8(GERMAN), "innermost"), policy=EIGHT)), "inner")
    save("message-02-python", flat(addressed(MIMEMessage(inner, policy=EIGHT), "a message as the body")))
    save("message-03-hand", HEAD % "8-bit behind a message that declares nothing" + """MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: inner

undeclared: ü
--x
Content-Type: message/rfc822

Subject: only a header
--x--
""")
    glob = """Subject: Grüße
From: jörg@example.org
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Körper.

"""
    save("message-04-hand", HEAD % "global" + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=g\n\n--g\nContent-Type: message/global\nContent-Transfer-Encoding: 8bit\n\n" + glob + "--g--\n")
    save("message-05-hand", HEAD % "global in ASCII" + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=g\n\n--g\nContent-Type: message/global\n\nSubject: ASCII\n\nASCII\n--g\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nü\n--g--\n")
    save("message-06-hand", HEAD % "global as a report gives it back" + "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=g\n\n--g\n\nNot delivered.\n--g\nContent-Type: message/global-delivery-status\nContent-Transfer-Encoding: 8bit\n\nReporting-MTA: dns; mx.example.org\n\nOriginal-Recipient: utf-8;jörg@example.org\nAction: failed\n--g\nContent-Type: message/global-headers\nContent-Transfer-Encoding: 8bit\n\nSubject: Grüße\n--g--\n")
    save("message-07-hand", HEAD % "a report may not be 8-bit" + "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=g\n\n--g\n\nNot delivered.\n--g\nContent-Type: message/delivery-status\nContent-Transfer-Encoding: 8bit\n\nReporting-MTA: dns; mx.example.org\n\nFinal-Recipient: rfc822;jörg@example.org\n--g--\n")
    save("message-08-hand", HEAD % "a piece of a message" + "MIME-Version: 1.0\nContent-Type: message/partial; id=\"a@b\"; number=2; total=3\nContent-Transfer-Encoding: 8bit\n\nmitten im Text: ü\n")
    save("message-09-perl", fixed(run("perl", "-e", r'''
use MIME::Lite;
my $i = MIME::Lite->new(From => 'cy@example.org', To => 'ann@example.org', Subject => 'inner', Type => 'text/plain; charset=utf-8', Encoding => '8bit', Data => "\xc3\xa9t\xc3\xa9\n");
my $m = MIME::Lite->new(From => 'ann@example.org', To => 'bob@example.net', Subject => 'forward', Type => 'multipart/mixed');
$m->attach(Type => 'TEXT', Data => "see below\n");
$m->attach(Type => 'message/rfc822', Encoding => '8bit', Data => $i->as_string);
print $m->as_string;''')))
    with Work() as w:
        m = multi("mixed", "m11", text8("ü\n"))
    g = MIMEBase("message", "global", policy=EIGHT)
    g["Content-Transfer-Encoding"] = "8bit"
    g.set_payload([email.message_from_bytes("Subject: Größe\nFrom: jörg@example.org\n\nKörper\n".encode(), policy=EIGHT)])
    m.attach(g)
    save("message-11-python", flat(addressed(m, "global")))
    with Work() as w:
        save("message-10-mutt", mutt(w, "forwarded", "siehe Anhang: ü\n", w.file("in.eml", flat(inner))))


def mutt(w, subject, body, *attach):
    out = os.path.join(w.dir, "out")
    mta = w.file("mta", "#!/bin/sh\ncat >%s\n" % out)
    os.chmod(mta, 0o755)
    rc = w.file("muttrc", 'set sendmail="%s"\nset from=ann@example.org\nset realname=""\nset copy=no\nset charset=utf-8\nset send_charset=utf-8\nset hostname=example.org\n' % mta)
    files = []
    if attach:
        files = ["-a", *attach]
    run("mutt", "-F", rc, "-s", subject, *files, "--", "bob@example.net", stdin=body, env={**os.environ, "LC_ALL": "C.UTF-8"})
    with open(out, "rb") as f:
        return fixed(f.read())


# ---------------------------------------------------------------- digests
def digests():
    item = lambda n, t: MIMEMessage(addressed(text8(t), n), policy=EIGHT)
    save("digest-01-python", flat(addressed(multi("digest", "d1", item("one", GERMAN), item("two", RUSSIAN)), "digest")))
    toc = text8("Inhalt: eins, zwei – drei\n")
    save("digest-02-python", flat(addressed(multi("mixed", "d2", toc, multi("digest", "d2i", item("one", GERMAN), item("two", "plain\n")), text8("Ende: ü\n")), "digest with contents")))
    save("digest-03-hand", HEAD % "types left out" + """MIME-Version: 1.0
Content-Type: multipart/digest; boundary=d

--d

From: cy@example.org
Subject: one
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

eins: ü
--d

From: di@example.org
Subject: two

zwei, nicht erklärt
--d--
""")
    save("digest-04-hand", crlf(HEAD % "a part of another type" + """MIME-Version: 1.0
Content-Type: multipart/digest; boundary=d
Content-Transfer-Encoding: 8bit

--d
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Vorwort: ü
--d
Content-Transfer-Encoding: 8bit

Subject: one
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=e
Content-Transfer-Encoding: 8bit

--e

nur ASCII
--e
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

<i>ä</i>
--e--
--d--
"""))
    save("digest-05-hand", HEAD % "a digest in a digest" + """MIME-Version: 1.0
Content-Type: multipart/digest; boundary=d

--d

Subject: inner digest
MIME-Version: 1.0
Content-Type: multipart/digest; boundary=f

--f

Subject: one
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

ü
--f--
--d--
""")
    save("digest-07-python", flat(addressed(multi("digest", "d7", item("one", "é" * 400 + "\n"), item("two", ".\n..\nFrom ü\n"), item("three", "plain\n")), "digest")))
    save("digest-06-perl", fixed(run("perl", "-e", r'''
use MIME::Lite;
my $m = MIME::Lite->new(From => 'ann@example.org', To => 'bob@example.net', Subject => 'digest', Type => 'multipart/digest');
for my $n (1..3) {
  my $i = MIME::Lite->new(From => 'cy@example.org', Subject => "issue $n", Type => 'text/plain; charset=iso-8859-2', Encoding => '8bit', Data => "\xb1\xe6\xea $n\n");
  $m->attach(Type => 'message/rfc822', Encoding => '8bit', Data => $i->as_string);
}
print $m->as_string;''')))


# ---------------------------------------------------------------- signed
def signed():
    dkim = "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=x;\n h=from:to:subject:date; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\n b=AAAA\n"
    save("signed-01-hand", dkim + HEAD % "DKIM" + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nü\n")
    save("signed-02-python", dkim.encode() + flat(addressed(multi("mixed", "s2", text8("plain\n"), text8(GERMAN)), "DKIM")))
    save("signed-03-hand", HEAD % "the signature is of a message within" + "MIME-Version: 1.0\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n" + dkim + "Subject: inner\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nü\n")
    save("signed-04-hand", "ARC-Message-Signature: i=1; a=rsa-sha256; d=example.org; s=x;\n h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\n" + HEAD % "ARC" + "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\nMIME-Version: 1.0\n\nü\n")
    with Work() as w:
        home = os.path.join(w.dir, "gnupg")
        os.mkdir(home, 0o700)
        gpg = ["gpg", "--homedir", home, "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", "--local-user", "ann@example.org"]
        run(*gpg[:-2], "--quick-generate-key", "ann@example.org", "ed25519", "sign", "never", stderr=subprocess.DEVNULL)
        clear = run(*gpg, "--clearsign", stdin="Unterschrieben im Text: ü \n- -- \nann\n")
        save("signed-05-gpg", (HEAD % "signed in the text" + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n").encode() + clear)
        for name, text in (("signed-06-gpg", GERMAN), ("signed-07-gpg", "plain\n")):
            part = crlf("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + text)
            sig = run(*gpg, "--armor", "--detach-sign", stdin=part).decode().replace("\n", "\r\n")
            whole = crlf("Content-Type: multipart/signed; micalg=pgp-sha512; protocol=\"application/pgp-signature\"; boundary=s\n\n--s\n") + part + crlf("\n--s\nContent-Type: application/pgp-signature\n\n") + sig + crlf("--s--\n")
            head = crlf(HEAD % "PGP/MIME" + "MIME-Version: 1.0\n")
            if name == "signed-07-gpg":  # what is outside of the signature may change
                whole = crlf("Content-Type: multipart/mixed; boundary=m\n\n--m\n") + whole + crlf("--m\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nAngehängt: ü\n--m--\n")
            save(name, head + whole)
        run("gpgconf", "--homedir", home, "--kill", "all")
        key, cert = os.path.join(w.dir, "key"), os.path.join(w.dir, "cert")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=ann/emailAddress=ann@example.org", "-days", "3650", stderr=subprocess.DEVNULL)
        part = crlf("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + GERMAN)
        smime = run("openssl", "cms", "-sign", "-binary", "-signer", cert, "-inkey", key, stdin=part)
        save("signed-08-openssl", fixed((HEAD % "S/MIME").encode() + smime))
        der = run("openssl", "cms", "-sign", "-binary", "-nodetach", "-signer", cert, "-inkey", key, "-outform", "DER", stdin=part)
        der = der.replace(b"\r\n", b"\n").replace(b"\r", b"").replace(b"\0", b"\1")  # what 8bit cannot carry, so that it still is one message
        save("signed-09-openssl", (HEAD % "opaque" + "MIME-Version: 1.0\nContent-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\nContent-Transfer-Encoding: 8bit\n\n").encode() + der + b"\n")


# ---------------------------------------------------------------- undeclared
def undeclared():
    save("undeclared-01-hand", HEAD % "nothing says what it is" + "\n" + GERMAN)
    save("undeclared-02-hand", (HEAD % "Latin-1").encode() + b"\n" + latin(GERMAN))
    save("undeclared-03-hand", HEAD % "a lie" + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\n.\n..\nFrom hier\n" + GERMAN)
    save("undeclared-04-hand", crlf(HEAD % "parts that declare nothing" + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=u\n\nVorspann: ü\n--u\n\nü\n--u\nContent-Type: text/html\n\n<p>ü</p>\n--u\nContent-Type: application/pdf; name=x.pdf\n\n%PDF ü\n--u--\nNachspann: ü\n"))
    save("undeclared-05-swaks", fixed(run("swaks", "--from", "ann@example.org", "--to", "bob@example.net", "--server", "localhost", "--body", "Grüße von swaks: ü\\n.\\n", "--dump-mail")))
    save("undeclared-06-swaks", fixed(run("swaks", "--from", "ann@example.org", "--to", "bob@example.net", "--server", "localhost", "--data", "From: %FROM_ADDRESS%\\nTo: %TO_ADDRESS%\\nSubject: data\\n\\n" + RUSSIAN.replace("\n", "\\n"), "--dump-mail")))
    save("undeclared-07-perl", fixed(run("perl", "-e", r'''
use MIME::Lite;
print MIME::Lite->new(From => 'ann@example.org', To => 'bob@example.net', Subject => 'no charset', Type => 'TEXT', Encoding => '7bit', Data => "x\n")->as_string =~ s/x\n\z/gr\xfc\xdfe\n/r;''')))
    save("undeclared-08-perl", run("perl", "-e", r'''
use Email::Simple;
print Email::Simple->create(header => [From => 'ann@example.org', To => 'bob@example.net', Subject => 'simple', Date => 'Fri, 02 Jan 2026 03:04:05 +0000'], body => "na\xc3\xafve\n\xf0\x9f\x98\x80\n")->as_string;'''))
    save("undeclared-09-git", git("Fügt ein Ü hinzu", "ä\n", "-c", "format.attach=patch-boundary"))
    save("undeclared-10-s-nail", s_nail("Ein Gruß: ü\n"))


def git(subject, text, *config):
    with Work() as w:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org", "GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.org",
               "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z"}
        g = ["git", "-C", w.dir]
        run(*g, "init", "-q", env=env)
        run(*g, "commit", "-q", "--allow-empty", "-m", "first", env=env)
        w.file("datei", text)
        run(*g, "add", "datei", env=env)
        run(*g, "commit", "-q", "-m", subject + "\n\nText: ü", env=env)
        data = run(*g, *config, "format-patch", "-1", "--stdout", "--no-signature", env=env)
        return fixed(data)


def s_nail(body):
    with Work() as w:
        out = os.path.join(w.dir, "out")
        mta = w.file("mta", "#!/bin/sh\ncat >%s\n" % out)
        os.chmod(mta, 0o755)
        run("s-nail", "-:/", "-Smta=" + mta, "-Sttycharset=utf-8", "-Ssendcharsets=utf-8", "-Smime-encoding=8bit", "-Sfrom=ann@example.org", "-s", "ASCII", "-Sexpandaddr", "bob@example.net", stdin=body, env={**os.environ, "LC_ALL": "C.UTF-8"})
        with open(out, "rb") as f:
            return fixed(f.read())


# ---------------------------------------------------------------- headers
def headers():
    m = email.message.EmailMessage(policy=email.policy.SMTPUTF8.clone(cte_type="8bit"))
    m["From"], m["To"], m["Subject"], m["Date"] = "jörg@example.org", "bob@example.net", "Grüße", DATE
    m.set_content(GERMAN, cte="8bit")
    save("headers-01-python", m.as_bytes())
    m = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
    m["From"], m["To"], m["Subject"], m["Date"] = "ann@example.org", "bob@example.net", "nur im Kopf: ß", DATE
    m.set_content("plain\n")
    save("headers-02-python", m.as_bytes())
    save("headers-03-hand", (HEAD % "x").encode().replace(b"x", latin("Grüße"), 1) + b"\nhello\n")
    save("headers-04-hand", HEAD % "in a part" + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=h\n\n--h\nContent-Type: application/pdf; name=\"Grüße.pdf\"\nContent-Transfer-Encoding: base64\n\nJVBERg==\n--h--\n")
    save("headers-05-hand", HEAD % "in a message" + "MIME-Version: 1.0\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: Grüße\n\nhello\n")
    save("headers-06-git", git("Größer", "x\n", "-c", "format.encodeEmailHeaders=false"))
    save("headers-07-swaks", fixed(run("swaks", "--from", "ann@example.org", "--to", "bob@example.net", "--server", "localhost", "--h-Subject", "Grüße", "--dump-mail")))
    m = email.message.EmailMessage(policy=email.policy.SMTPUTF8.clone(cte_type="8bit"))
    m["From"], m["To"], m["Subject"], m["Date"] = "ann@example.org", "bob@example.net", "a name", DATE
    m.set_content("plain\n")
    m.add_attachment(b"%PDF", "application", "pdf", filename="x.pdf")
    m.set_boundary("h9")
    save("headers-09-python", m.as_bytes().replace(b"x.pdf", "größe.pdf".encode()))
    save("headers-08-hand", HEAD % "a name" + "X-Größe: 3\n\nhello: the header ends before that line, which is no field\n")


# ---------------------------------------------------------------- quoted-printable
def quoted():
    lines = ["x" * n + "ü" for n in range(66, 80)] + ["x" * n + " " for n in range(72, 78)] + ["=" * n for n in range(23, 28)] + ["ü" * n for n in range(11, 15)] + ["x" * n + "\t" for n in range(73, 77)]
    save("quoted-01-hand", HEAD % "lines about as long as they may get" + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + "\n".join(lines) + "\n")
    save("quoted-02-python", flat(addressed(text8("".join(w + ("\n" if i % 19 == 0 else " ") for i, w in enumerate(("-- .From  ü " * 60).split(" ")))), "words")))
    save("quoted-03-hand", (HEAD % "8-bit in quoted-printable" + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n").encode() + b"".join(b"x" * n + b"\xc3\xbc=C3=BC=\n" for n in range(60, 76)) + b"soft \xc3=\n=BC end\nplain =3D\n")
    save("quoted-04-hand", HEAD % "a quoted-printable line without end" + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n" + "x=C3=BC --b . " * 300 + "ü\n")
    save("quoted-05-hand", (HEAD % "hyphens, dots and From where lines are broken" + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\n\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + "".join("ü" + "x" * n + "--b\n" + "ü" + "x" * n + ".\n" + "ü" + "x" * n + "From me\n" for n in range(64, 74)) + "--b--\n"))
    save("quoted-06-perl", run("perl", "-e", r'''
use MIME::QuotedPrint;
my $t = join "", map { ("y" x $_) . "\xc3\xa9\n" } 68..78;
print "From: ann\@example.org\nSubject: mixed\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=q\n\n--q\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n" . encode_qp($t) . "--q\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n$t--q--\n";'''))
    with Work() as w:
        save("quoted-07-mutt", mutt(w, "quoted", "".join("z" * n + "ö\n" for n in range(66, 80))))
    save("quoted-08-perl", fixed(run("perl", "-e", r'''
use MIME::Lite;
print MIME::Lite->new(From => 'ann@example.org', To => 'bob@example.net', Subject => 'long', Type => 'text/plain; charset=utf-8', Encoding => '8bit', Data => ("w" x 70) . ("\xc3\xbc" x 700) . "\n")->as_string;''')))


# ---------------------------------------------------------------- no final newline
def unended():
    save("unended-01-hand", HEAD % "x" + "\nü")
    save("unended-02-hand", HEAD % "x" + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=n\n\n--n\n\nü\n--n--")
    save("unended-03-hand", crlf(HEAD % "x" + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=n\n\n--n\nContent-Type: image/png\nContent-Transfer-Encoding: 8bit\n\nü\n--n--\nEnde"))
    save("unended-04-hand", HEAD % "x" + "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nü ")
    save("unended-05-python", flat(addressed(text8(GERMAN.rstrip()), "x")))
    save("unended-06-python", flat(addressed(multi("mixed", "n6", text8("ü"), text8("ä\n\n")), "x")).rstrip(b"\n"))
    save("unended-07-perl", run("perl", "-e", r'''
use Email::Simple;
print Email::Simple->create(header => [From => 'ann@example.org', Subject => 'x'], body => "no end: \xc3\xbc")->as_string =~ s/\s+\z//r;'''))
    with Work() as w:
        save("unended-09-mutt", mutt(w, "no end", "kein Ende: ü", w.file("x.txt", "auch hier: ä")).rstrip(b"\n"))
    save("unended-08-perl", fixed(run("perl", "-e", r'''
use MIME::Lite;
print MIME::Lite->new(From => 'ann@example.org', Subject => 'x', Type => 'application/octet-stream', Encoding => '8bit', Data => "\xff\xfe")->as_string =~ s/\n+\z//r;''')))


# ---------------------------------------------------------------- wrong boundaries
def boundaries():
    head = lambda b: HEAD % "boundaries" + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=%s\n\n" % b
    part = "--%s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n%s\n"
    save("boundaries-01-hand", head("b") + part % ("b", "kein Ende: ü"))
    save("boundaries-02-hand", head("b") + part % ("c", "kommt nicht vor: ü") + "--c--\n")
    save("boundaries-03-hand", head("b") + part % ("b", "eins: ü") + "--b--\n" + part % ("b", "nach dem Ende: ü") + "--b--\n")
    save("boundaries-04-hand", head("b") + "--b\nContent-Type: multipart/mixed; boundary=b\n\n" + part % ("b", "zweimal dieselbe: ü") + "--b--\n--b--\n")
    save("boundaries-05-hand", HEAD % "boundaries" + "MIME-Version: 1.0\nContent-Type: multipart/mixed\nContent-Transfer-Encoding: 8bit\n\n" + part % ("b", "keine genannt: ü") + "--b--\n")
    save("boundaries-06-hand", head("b") + "--b \t\nContent-Type: text/plain; charset=utf-8\n\nFüllung\n--bb\n--b-\n-- b\n--b--x\n--b--  \n")
    save("boundaries-07-hand", head('"o"') + "--o\nContent-Type: multipart/alternative; boundary=i\n\n" + part % ("i", "das innere endet nicht: ü") + part % ("o", "weiter außen: ü") + "--o--\n")
    save("boundaries-08-hand", head('"a;b=c \\"d\\" e"') + part % ('a;b=c "d" e', "seltsam: ü") + '--a;b=c "d" e--\n')
    whole = flat(addressed(multi("mixed", "py", text8(GERMAN), multi("alternative", "pyi", text8("ü\n"), text8("ä\n"))), "cut"))
    save("boundaries-09-python", whole[:whole.rindex(b"--pyi--")])
    save("boundaries-10-python", whole.replace(b"--pyi\n", b"--other\n"))
    save("boundaries-11-perl", fixed(run("perl", "-e", r'''
use MIME::Lite;
my $m = MIME::Lite->new(From => 'ann@example.org', Subject => 'x', Type => 'multipart/mixed');
$m->attach(Type => 'text/plain; charset=utf-8', Encoding => '8bit', Data => "\xc3\xbc\n");
$m->attach(Type => 'text/plain; charset=utf-8', Encoding => '8bit', Data => "\xc3\xa4\n");
print $m->as_string =~ s/--\n\s*\z/\n/r;''')))


# ---------------------------------------------------------------- encodings that lie, and clean messages
def others():
    save("lies-01-hand", (HEAD % "junk in base64" + "MIME-Version: 1.0\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n").encode() + b"iVBO\xffRw0K\n\xc3\xbcGgo=\n")
    save("lies-02-hand", HEAD % "an encoding that nobody knows" + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: x-rot13\n\nü\n")
    save("lies-03-hand", HEAD % "an encoded multipart" + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=l\nContent-Transfer-Encoding: base64\n\n--l\nContent-Type: text/plain; charset=utf-8\n\nü\n--l--\n")
    save("lies-04-hand", HEAD % "two of them" + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: base64\n\nü\n")
    save("clean-01-hand", HEAD % "nothing to do" + "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\nhello\n")
    with Work() as w:
        part = w.file("binary", bytes(range(256)))
        out = os.path.join(w.dir, "out")
        run("mpack", "-s", "binary", "-o", out, part)
        with open(out, "rb") as f:
            save("clean-02-mpack", fixed(f.read()))
        save("clean-03-mutt", mutt(w, "attached", "plain\n", part))


nested()
messages()
digests()
signed()
undeclared()
headers()
quoted()
unended()
boundaries()
others()
for old in os.listdir(HERE):
    if old.endswith(".eml") and old[:-4] not in written:
        os.remove(os.path.join(HERE, old))
other = [n for n in written if not n.endswith("-hand")]
print(len(written), "messages,", len(other), "of them by other programs")
