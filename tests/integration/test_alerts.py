"""Alerts, to real targets: a server that takes them, does not, or never answers, and one file for many processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kit import _clock
from kit.alerting import OutboxEntry
from kit.alerts import Delivered, deliver, send
from kit.errors import ServiceError
from kit.executors._telling import send_alerts
from kit.project import Project, open_project
from tests.conftest import write
from tests.support import until

NOW = datetime(2026, 3, 1, 2, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Service(ThreadingHTTPServer):
    """Takes what is posted to /ok, refuses what is posted to /refuse, and does not answer elsewhere until it ends."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.ended = threading.Event()

    def url(self, path: str, **options: object) -> str:
        query = "".join(f"&{name}={value}" for name, value in options.items())
        return f"json://localhost:{self.server_port}/{path}?method=POST{query}"


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/ok":
            self.server.taken.append(json.loads(body))
            self.send_response(200)
            self.end_headers()
        elif self.path == "/refuse":
            self.send_error(500)
        elif self.path == "/dribble":
            with suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not self.server.ended.wait(0.1):
                    self.wfile.write(b"x")
        else:
            self.server.ended.wait()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.ended.set()
        server.shutdown()


@pytest.fixture
def opened(project: Path) -> Iterator[Project]:
    opened = open_project(project)
    yield opened
    opened.store.close()


def entry(entry_id: str = "m1", kind: str = "failure", body: str = "line 1\nline 2") -> OutboxEntry:
    return OutboxEntry(entry_id, "nightly", kind, f"title of {entry_id}", body, NOW, next_try_at=NOW)


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("failure", "failure"), ("recovery", "success"), ("missed", "warning"), ("scheduler", "failure")],
)
def test_a_service_gets_the_message_as_it_is(service: Service, kind: str, shown: str) -> None:
    body = "The fire failed: <b>5</b> & *6* ${HOME} \\n :smile:\n\n  kit logs x"
    send([service.url("ok")], entry(kind=kind, body=body))
    (taken,) = service.taken
    assert (taken["title"], taken["message"], taken["type"]) == ("title of m1", body, shown)


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("refuse", {}, "500"),
        ("hang", {"rto": 0.2}, "json://***"),
        ("hang", {"rto": 100}, "no answer within 1 s"),
        ("dribble", {}, "no answer within 1 s"),
    ],
)
def test_a_service_that_does_not_take_it_is_told_of_in_bounded_time(
    service: Service, path: str, options: dict[str, object], said: str
) -> None:
    with pytest.raises(ServiceError) as caught:
        send([service.url(path, **options), service.url("ok")], entry(), timeout=1)
    assert said in str(caught.value)
    assert len(service.taken) == 1


def test_a_service_is_not_asked_twice_by_one_try(service: Service) -> None:
    with pytest.raises(ServiceError):
        send([service.url("refuse")], entry())
    assert service.asked == ["/refuse"]


def test_a_process_ends_though_a_service_never_answers(service: Service) -> None:
    code = f"from kit._apprise import send; print(send({service.url('dribble')!r}, 't', 'b', 'info', timeout=0.5))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert "no answer" in done.stdout
    assert not service.ended.is_set()


def test_the_store_remembers_who_took_a_message(service: Service, opened: Project) -> None:
    outbox = opened.store.fires
    outbox.add_message(entry("m1"))
    outbox.add_message(entry("m2"))
    urls = [service.url("ok"), service.url("refuse")]
    assert deliver(outbox, lambda _: urls, NOW) == Delivered(failed=2)
    assert outbox.pending_alerts(NOW) == []
    assert deliver(outbox, lambda _: urls, NOW + MINUTE) == Delivered(failed=2)
    (failed, _) = outbox.messages()
    assert failed.tries == 2
    assert failed.next_try_at == NOW + 3 * MINUTE
    assert failed.error is not None
    assert "500" in failed.error
    urls[1] = service.url("ok", more="yes")
    assert deliver(outbox, lambda _: urls, NOW + 3 * MINUTE) == Delivered(sent=2)
    assert sorted(taken["title"] for taken in service.taken) == 2 * ["title of m1"] + 2 * ["title of m2"]
    assert all(message.sent_at == NOW + 3 * MINUTE for message in outbox.messages())


_WRITER = """
import sys
from datetime import UTC, datetime
from kit.alerting import OutboxEntry
from kit.alerts import send

url, writer, length = sys.argv[1], sys.argv[2], int(sys.argv[3])
now = datetime.now(UTC)
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    body = "\\n".join(f"{writer}.{number} {line} " + "x" * length for line in range(50))
    send([url], OutboxEntry("m", "nightly", "failure", f"{writer}.{number}", body, now))
"""


def test_many_processes_append_to_one_file_without_mixing(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "alerts.txt"
    writers = [_start_writer(f"file://{path}", f"w{i}", 40 * i + 1) for i in range(10)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [_ended(writer) for writer in writers] == [0] * 10
    blocks = re.split(r"^(?=\d)", path.read_text(), flags=re.MULTILINE)[1:]
    assert len(blocks) == 200
    assert len({block.split()[1] for block in blocks}) == 200
    for block in blocks:
        head, *lines = block.splitlines()
        name = head.split()[1]
        length = 40 * int(name[1:].partition(".")[0]) + 1
        assert lines == [f"  {name} {line} {'x' * length}" for line in range(50)]


def _start_writer(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ended(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=300)
    return process.returncode


# A project's own


def schedules(opened: Project, **alerts: str) -> None:
    trigger = 'trigger: {cron: "0 2 * * *"}'
    write(opened.root, {f"conf/schedule/{name}.yaml": f"{trigger}\nalert: {alert}\n" for name, alert in alerts.items()})


def sent(opened: Project) -> None:
    """Send what waits, in a process of its own."""
    sender = send_alerts(opened.paths)
    assert sender is not None
    assert sender.wait(120) == 0, (opened.paths.state / "alerts.log").read_text()


def now_due(made: OutboxEntry, **changes: Any) -> OutboxEntry:
    now = _clock.now()
    return replace(made, created_at=now, next_try_at=now, **changes)


def test_a_projects_alerts_go_to_those_that_its_schedules_name(
    opened: Project, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERT_URL", service.url("ok"))
    schedules(opened, nightly=f"file://{tmp_path}/nightly.txt", weekly="${oc.env:ALERT_URL}", quiet="[]")
    outbox = opened.store.fires
    for made in (
        now_due(entry("m1")),
        now_due(entry("m2"), schedule="weekly"),
        now_due(entry("m3"), schedule="quiet"),
        now_due(entry("m4", kind="scheduler"), schedule=None),
    ):
        outbox.add_message(made)
    sent(opened)
    assert re.findall("title of (..)", (tmp_path / "nightly.txt").read_text()) == ["m1", "m4"]
    assert [taken["title"] for taken in service.taken] == ["title of m2", "title of m4"]
    assert all(message.sent_at is not None for message in outbox.messages())
    assert (opened.paths.state / "alerts.log").read_text() == ""


def test_an_alert_of_a_schedule_that_cannot_be_read_waits_for_it(opened: Project, tmp_path: Path) -> None:
    schedules(opened, nightly=f"file://{tmp_path}/alerts.txt\nalrt: 1")
    opened.store.fires.add_message(now_due(entry()))
    sent(opened)
    (message,) = opened.store.fires.messages()
    assert message.error is not None
    assert "alrt" in message.error
    assert message.next_try_at is not None
    schedules(opened, nightly=f"file://{tmp_path}/alerts.txt")
    opened.store.fires.alert_failed("m1", NOW, "until now", _clock.now())
    sent(opened)
    assert (tmp_path / "alerts.txt").exists()


def test_a_sender_that_is_killed_leaves_the_message_to_the_next(
    opened: Project, service: Service, tmp_path: Path
) -> None:
    schedules(opened, nightly=json.dumps([f"file://{tmp_path}/alerts.txt", service.url("hang", rto=100)]))
    opened.store.fires.add_message(now_due(entry()))
    sender = send_alerts(opened.paths)
    assert sender is not None
    until(lambda: service.asked, "the sender asks the service")
    assert send_alerts(opened.paths) is None
    sender.kill()
    sender.wait(60)
    schedules(opened, nightly=f"file://{tmp_path}/alerts.txt")
    sent(opened)
    (message,) = opened.store.fires.messages()
    assert message.sent_at is not None
    assert (tmp_path / "alerts.txt").read_text().count("title of m1") == 2  # once by each


def test_senders_that_are_started_at_once_send_each_message_once(opened: Project, tmp_path: Path) -> None:
    schedules(opened, nightly=f"file://{tmp_path}/alerts.txt")
    for number in range(20):
        opened.store.fires.add_message(now_due(entry(f"m{number:02}")))
    senders = [sender for _ in range(5) if (sender := send_alerts(opened.paths)) is not None]
    assert [sender.wait(120) for sender in senders] == [0] * len(senders)
    titles = re.findall("title of (m..)", (tmp_path / "alerts.txt").read_text())
    assert sorted(titles) == [f"m{number:02}" for number in range(20)]
