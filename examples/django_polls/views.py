"""The site: a page, a vote, the results."""

import hashlib

from django.core.cache import cache
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.urls import path
from django.views.decorators.http import require_POST

from examples.django_polls.jobs import count, make_tables
from examples.django_polls.models import Vote
from hustlex.django import front, rate_limit

CHOICES = ("lamp", "kettle")
PAGE = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>A poll</title>
<style>body{{font:1rem/1.6 system-ui;max-width:34rem;margin:3rem auto;padding:0 1rem}}</style>
<h1>Which one?</h1><form method="post" action="/votes"><input type="hidden" name="csrfmiddlewaretoken" value="{token}">
{buttons}</form><p>{said} <a href="/results">Results</a></p>"""
make_tables()


def page(request: HttpRequest) -> HttpResponse:
    buttons = " ".join(f'<button name="choice" value="{choice}">{choice}</button>' for choice in CHOICES)
    said = f"You voted for the {request.session['choice']}." if "choice" in request.session else ""
    return HttpResponse(PAGE.format(token=get_token(request), buttons=buttons, said=said))


@require_POST
@rate_limit("10/minute per ip")
def vote(request: HttpRequest) -> HttpResponse:
    """Once for each session. The job saves it; a visitor waits for no database."""
    choice = request.POST.get("choice", "")
    if choice not in CHOICES:
        return JsonResponse({"detail": "There is no such thing."}, status=422)
    if request.session.setdefault("choice", choice) != choice:
        return JsonResponse({"detail": "You have voted."}, status=409)
    request.session.save()
    voter = hashlib.sha256(str(request.session.session_key).encode()).hexdigest()
    front().jobs.enqueue(count.job(session=voter, choice=choice))
    return HttpResponse("Thank you.", status=202)


def results(_: HttpRequest) -> HttpResponse:
    """From the cache, a second old at most."""

    def counted() -> dict[str, int]:
        rows = Vote.objects.values_list("choice").annotate(Count("id"))
        return dict.fromkeys(CHOICES, 0) | dict(rows)

    return JsonResponse(cache.get_or_set("results", counted, timeout=1))


urlpatterns = [path("", page), path("votes", vote), path("results", results)]
