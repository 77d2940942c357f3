"""A real web site for tests of the archive: each page does what it is told, on the socket itself."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Page = Callable[[BaseHTTPRequestHandler], None]


class Site:
    """Pages by path; queries don't count. ``asked`` has every request with its query and headers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pages: dict[str, list[Page]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()

    def plays(self, path: str, *pages: Page) -> str:
        """Play these one after the other, the last for good; the address."""
        self.pages[path] = list(pages)
        return self.url + path

    def play(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append((handler.path, {name.lower(): value for name, value in handler.headers.items()}))
        pages = self.pages.get(handler.path.partition("?")[0], [status(404)])
        (pages.pop(0) if len(pages) > 1 else pages[0])(handler)


def content(data: bytes, length: int | None = None, **headers: str) -> Page:
    """Status 200 with bytes; ``length`` is what is told of them, if not the truth."""

    def page(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)
        handler.close_connection = True

    return page


def unending(data: bytes) -> Page:
    """The bytes again and again, without a word on how many there will be."""

    def page(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(data)
        except OSError:
            handler.close_connection = True

    return page


def status(code: int, **headers: str) -> Page:
    def page(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()

    return page


def hanging(site: Site, after: bytes = b"") -> Page:
    """Begins, and then says nothing."""

    def page(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(after)
        handler.wfile.flush()
        site.over.wait(20)
        handler.close_connection = True

    return page


def certificate(folder: Path, name: str) -> Path:
    """A certificate for a name with its key, which signs itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    path = folder / f"{name}.pem"
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(encoding) + private)
    return path


@contextmanager
def opened_site(shows: Path | None = None) -> Iterator[Site]:
    """A site on this machine; with the file of a certificate it speaks https."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.play(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: socket.socket, client_address: object) -> None:
            pass  # clients that go away are what some tests are about

    with Server(("127.0.0.1", 0), Handler) as server:
        if shows is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(shows)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        site = Site(f"{'http' if shows is None else 'https'}://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.over.set()
            server.shutdown()
            thread.join()
