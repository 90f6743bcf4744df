"""HustleX in small: gigs paid through escrow, wallets, phone login. ``hustlex up examples.gigs`` runs it."""

from examples.gigs.app import create_app
from examples.gigs.jobs import tasks

app = create_app()

__all__ = ["app", "tasks"]
