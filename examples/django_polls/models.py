"""What the database holds."""

from django.db import models


class Vote(models.Model):
    """One vote. session: whose; it is unique, so that a job that runs twice counts once."""

    session = models.CharField(max_length=64, unique=True)
    choice = models.CharField(max_length=16, db_index=True)
