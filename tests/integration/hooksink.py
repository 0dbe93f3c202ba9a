"""A real HTTPS receiver of webhooks with a certificate of its own; it keeps what it got and can answer, redirect, flood and hang on purpose."""
import datetime
import http.server
import ipaddress
import os
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(folder):
    """(certificate, key): paths; for localhost, 127.0.0.1 and ::1."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime(2026, 1, 1)
    crt = (x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(x509.random_serial_number())
           .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=3650))
           .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                                                       x509.IPAddress(ipaddress.ip_address("::1"))]), False)
           .add_extension(x509.BasicConstraints(ca=True, path_length=None), True).sign(key, hashes.SHA256()))
    paths = os.path.join(folder, "hook.crt"), os.path.join(folder, "hook.key")
    with open(paths[0], "wb") as f:
        f.write(crt.public_bytes(serialization.Encoding.PEM))
    with open(paths[1], "wb") as f:
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return paths


class HookSink:
    def __init__(self, certificate, host="127.0.0.1"):
        self.got, self.mode, self.connections = [], "take", 0  # got: (path, headers, body)
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                sink.got.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
                if sink.mode == "redirect":
                    self.send_response(307)
                    self.send_header("Location", f"https://localhost:{sink.port}/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif sink.mode == "flood":
                    self.send_response(200)
                    self.send_header("Content-Length", str(1 << 30))
                    self.end_headers()
                    for _ in range(1 << 10):
                        self.wfile.write(b"x" * (1 << 20))
                else:
                    self.send_response(500 if sink.mode == "refuse" else 204)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

            def get_request(self):
                sink.connections += 1
                return super().get_request()

            def handle_error(self, *_):
                pass
        self.server = Server((host, 0), Handler)
        self.port = self.server.server_address[1]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
