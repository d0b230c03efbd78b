"""An S3-compatible server on 127.0.0.1: a folder as a bucket.

Just enough of the protocol for real clients (Arrow's, over the AWS SDK for C++, and delta-rs's) to
list, look at and read objects, to write them whole, only where there is none, and to delete them.
moto would be the ready-made one, but boto3 asks for python-dateutil below 3, which the rest of the
environment is past.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bucket"


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The server's address."""

    class Handler(_Handler):
        root = folder

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    root: Path
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        path = self.root / unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self.root.parent) as whole:  # nobody sees half an object
            whole.write(self.rfile.read(int(self.headers["Content-Length"])))
            whole.flush()
            if self.headers.get("If-None-Match") != "*":
                path.unlink(missing_ok=True)
            try:
                path.hardlink_to(whole.name)
            except FileExistsError:
                self._send(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
        self._send(200, b"", {"ETag": f'"{path.stat().st_mtime_ns:x}"'})

    def do_DELETE(self) -> None:
        path = self.root / unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]
        path.unlink(missing_ok=True)
        self._send(204, b"")

    def _answer(self) -> None:
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        path = self.root / key
        if bucket != BUCKET or (key and not path.is_file()):
            self._send(404, b"")
        elif key:
            self._object(path)
        else:
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            self._send(200, self._listing(query).encode(), {"Content-Type": "application/xml"})

    def _object(self, path: Path) -> None:
        data, found = path.read_bytes(), path.stat()
        moment = datetime.fromtimestamp(found.st_mtime, UTC)
        headers = {"ETag": f'"{found.st_mtime_ns:x}"', "Accept-Ranges": "bytes",
                   "Last-Modified": format_datetime(moment, usegmt=True)}  # fmt: skip
        asked = self.headers.get("Range")
        if not asked:
            self._send(200, data, headers)
            return
        first, last = (int(n) for n in asked.removeprefix("bytes=").split("-"))
        piece = data[first : last + 1]
        headers["Content-Range"] = f"bytes {first}-{first + len(piece) - 1}/{len(data)}"
        self._send(206, piece, headers)

    def _listing(self, query: dict[str, str]) -> str:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        files = sorted(p for p in self.root.rglob("*") if p.is_file())
        entries, folders = "", set()
        for path in files:
            key = path.relative_to(self.root).as_posix()
            if not key.startswith(prefix) or key <= query.get("start-after", ""):
                continue
            head, slash, _ = key.removeprefix(prefix).partition(delimiter or "\0")
            if slash:
                folders.add(prefix + head + slash)
                continue
            moment = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            entries += (
                f"<Contents><Key>{escape(key)}</Key><Size>{path.stat().st_size}</Size>"
                f"<LastModified>{moment:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
            )
        entries += "".join(
            f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>"
            for f in sorted(folders)
        )
        return (
            f"<?xml version='1.0'?><ListBucketResult><Name>{BUCKET}</Name>"
            f"<KeyCount>{entries.count('<Key>')}</KeyCount><IsTruncated>false</IsTruncated>"
            f"{entries}</ListBucketResult>"
        )

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
