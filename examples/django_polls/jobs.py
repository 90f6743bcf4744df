"""The worker's half: `hustlex worker examples.django_polls.jobs`, with DJANGO_SETTINGS_MODULE set."""

import django
from django.apps import apps
from django.db import connection

from hustlex import Tasks

if not apps.ready:
    django.setup()

from examples.django_polls.models import Vote

tasks = Tasks()


@tasks.task("polls:count", max_retry=5)
def count(session: str, choice: str) -> int:
    """Save a vote, once, however often the job runs. How many votes there are."""
    Vote.objects.get_or_create(session=session, defaults={"choice": choice})
    return Vote.objects.count()


def make_tables() -> None:
    """Stands for `manage.py migrate`."""
    if Vote._meta.db_table not in connection.introspection.table_names():
        with connection.schema_editor() as editor:
            editor.create_model(Vote)
