"""Notes on Flask, with the blocking client: login, limits, a note saved once, a job for each, a cached list.

python -m examples.run flask_notes      a server, the site on port 8000, a worker
python -m examples.visit flask_notes    somebody who writes notes, step by step
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, abort, current_app, request

from hustlex import Tasks
from hustlex.flask import current_user, front, idempotent, init_app, login_required, rate_limit
from hustlex.settings import load_settings
from hustlex.sync import HustleX

SCHEMA = """CREATE TABLE IF NOT EXISTS notes (
    id INTEGER PRIMARY KEY, user_id TEXT NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL, words INTEGER,
    UNIQUE (user_id, key))"""
tasks = Tasks()
notes = Blueprint("notes", __name__)


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """One transaction; yours is SQLAlchemy, perhaps."""
    path = Path(os.environ.get("HUSTLEX_DATA", ".")) / "notes.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(SCHEMA)
        yield connection


@tasks.task("notes:count", queue="low", timeout=timedelta(seconds=30), retention=timedelta(hours=1))
def count(note_id: int) -> int:
    """A plain function runs in a thread of the worker. What it returns is the job's result."""
    with database() as connection:
        (text,) = connection.execute("SELECT text FROM notes WHERE id = ?", (note_id,)).fetchone()
        words = len(text.split())
        connection.execute("UPDATE notes SET words = ? WHERE id = ?", (words, note_id))
    return words


@notes.post("/session")
@rate_limit("20/minute per ip")
def log_in() -> dict[str, str]:
    """Stands for your login; docs/guides/django-flask.md has one by code."""
    return {"access_token": front().tokens.login(request.get_json()["name"]).or_raise().access}


@notes.post("/notes")
@login_required
@rate_limit("5/minute per user")
@idempotent
def write() -> tuple[dict[str, Any], int]:
    """Saved once for each key; its job counts the words."""
    user, text = current_user().user_id, request.get_json()["text"]
    row = (user, request.headers["Idempotency-Key"], text)
    with database() as connection:
        added = connection.execute("INSERT INTO notes (user_id, key, text) VALUES (?, ?, ?)", row)
    current_app.extensions["notes"].delete(user)  # after the commit
    queued = front().jobs.enqueue(count.job(added.lastrowid or 0))
    return {"note_id": added.lastrowid, "job": queued.or_raise().id}, 201


@notes.get("/notes")
@login_required
def read() -> dict[str, list[str]]:
    """Read once in five minutes, however many ask, and anew after each note."""
    user = current_user().user_id

    def load() -> list[str]:
        with database() as connection:
            rows = connection.execute("SELECT text FROM notes WHERE user_id = ? ORDER BY id", (user,))
            return [text for (text,) in rows]

    return {"notes": current_app.extensions["notes"].get_or_compute(user, load)}


@notes.get("/notes/<int:note_id>")
@login_required
def show(note_id: int) -> dict[str, Any]:
    mine = "SELECT text, words FROM notes WHERE id = ? AND user_id = ?"
    with database() as connection:
        found = connection.execute(mine, (note_id, current_user().user_id)).fetchone()
    return {"text": found[0], "words": found[1]} if found else abort(404)


@notes.delete("/session")
@login_required
def log_out() -> tuple[str, int]:
    front().tokens.logout(request.headers["Authorization"].removeprefix("Bearer "))
    return "", 204


def open_front() -> HustleX:
    settings = load_settings()  # HUSTLEX_URL, HUSTLEX_SECRET
    return HustleX(settings.url, **settings.secrets())


def create_app(hx: HustleX | None = None) -> Flask:
    """``flask --app examples.flask_notes.app`` finds it by its name."""
    app, hx = Flask(__name__), hx or open_front()
    init_app(app, hx)
    app.extensions["notes"] = hx.cache("notes", list[str], ttl=timedelta(minutes=5))
    app.register_blueprint(notes)
    return app
