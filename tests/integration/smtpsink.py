"""A receiver of mail that keeps every byte as it came: what Postfix would tidy up is what these tests look at.  It can refuse, hang and drop on purpose."""
import contextlib
import email
import email.policy
import socket
import ssl
import threading


class SmtpSink:
    def __init__(self, host="127.0.0.1", tls=None):
        """tls: (certificate, key) to offer STARTTLS with."""
        self.mails = []     # {"from": the MAIL command, "to": [...], "data": bytes between DATA and the dot, "lines": all commands}
        self.mode = "take"  # "take", "refuse" (554 to RCPT), "hang" (no greeting), "lose" (takes it, and drops the connection instead of saying so)
        self.tries, self.tls, self.open = 0, tls, []
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.sock.bind((host, 0))
        self.sock.listen(20)
        self.host, self.port = host, self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.sock.accept()
                self.tries += 1
                self.open.append(s)
                threading.Thread(target=self.guarded, args=(s,), daemon=True).start()

    def close(self):
        for s in [self.sock, *self.open]:
            with contextlib.suppress(OSError):
                s.close()

    def guarded(self, s):
        with contextlib.suppress(OSError, ConnectionError):
            self.serve(s)
        if self.mode != "hang":
            s.close()

    def serve(self, s):
        if self.mode == "hang":
            return
        buf, mail, lines = b"", {}, []

        def say(text):
            s.sendall(text.encode() + b"\r\n")

        def read_until(end):
            nonlocal buf
            while end not in buf:
                got = s.recv(65536)
                if not got:
                    raise ConnectionError
                buf += got
            line, _, buf = buf.partition(end)
            return line
        say("220 sink.example.test ESMTP")
        while True:
            line = read_until(b"\r\n").decode("latin-1")
            lines.append(line)
            verb = line.upper().split(" ")[0].split(":")[0]
            if verb in ("EHLO", "HELO"):
                say("250-sink.example.test")
                if self.tls and not isinstance(s, ssl.SSLSocket):
                    say("250-STARTTLS")
                say("250-SIZE 10000000")
                say("250 8BITMIME")
            elif verb == "STARTTLS":
                say("220 go on")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.tls)
                s = context.wrap_socket(s, server_side=True)
            elif verb == "MAIL":
                mail = {"from": line, "to": [], "lines": lines, "tls": isinstance(s, ssl.SSLSocket)}
                say("250 ok")
            elif verb == "RCPT":
                if self.mode == "refuse":
                    say("554 5.7.1 no")
                else:
                    mail["to"].append(line)
                    say("250 ok")
            elif verb == "DATA":
                say("354 go on")
                mail["data"] = read_until(b"\r\n.\r\n") + b"\r\n"
                self.mails.append(mail)
                if self.mode == "lose":
                    raise ConnectionError
                say("250 2.0.0 taken")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")


def parsed(mail):
    return email.message_from_bytes(mail["data"], policy=email.policy.default)
