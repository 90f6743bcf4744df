"""Users and payments. SQLite stands for your database; the unique key is what makes a payment happen once."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

TABLES = """
CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, phone TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS payments (
    user_id TEXT, key TEXT, amount INTEGER NOT NULL, PRIMARY KEY (user_id, key)
);
"""


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(os.environ.get("AJO_DATABASE", "ajo.db"))) as database, database:
        database.executescript(TABLES)
        yield database


def user_of(phone: str) -> str:
    with transaction() as database:
        database.execute("INSERT OR IGNORE INTO users (phone) VALUES (?)", (phone,))
        (number,) = database.execute("SELECT id FROM users WHERE phone = ?", (phone,)).fetchone()
    return f"user-{number}"


def pay(user_id: str, key: str, amount: int) -> None:
    """A second row under one key changes nothing."""
    with transaction() as database:
        database.execute("INSERT OR IGNORE INTO payments VALUES (?, ?, ?)", (user_id, key, amount))


def payments_of(user_id: str) -> list[int]:
    with transaction() as database:
        rows = database.execute("SELECT amount FROM payments WHERE user_id = ? ORDER BY rowid", (user_id,))
        return [amount for (amount,) in rows]


def total() -> int:
    with transaction() as database:
        return int(database.execute("SELECT coalesce(sum(amount), 0) FROM payments").fetchone()[0])
