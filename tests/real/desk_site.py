"""A help desk as an organisation runs it: django-helpdesk with its defaults, on SQLite.

Its webhooks go where HELPDESK_NEW_TICKET_WEBHOOK_URLS and HELPDESK_FOLLOWUP_WEBHOOK_URLS say. Runs in an environment of its own (`make test-real`), as its own program:

    python desk_site.py migrate | furnish | runserver --noreload 127.0.0.1:8080
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import execute_from_command_line

FOLDER = Path(os.environ["DESK_FOLDER"])

settings.configure(
    SECRET_KEY="only-on-loopback",
    DEBUG=False,
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    TIME_ZONE="Europe/Amsterdam",
    SITE_ID=1,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.sites",
        "django.contrib.messages",
        "django.contrib.admin",
        "django.contrib.humanize",
        "django.contrib.staticfiles",
        "bootstrap4form",
        "rest_framework",
        "helpdesk",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "desk.sqlite3"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
    MEDIA_ROOT=FOLDER / "media",
    STATIC_URL="/static/",
    LOGIN_URL="/login/",
    HELPDESK_TEAMS_MODE_ENABLED=False,
)

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.urls import include, path  # noqa: E402
from helpdesk.models import Queue  # noqa: E402

urlpatterns = [path("", include("helpdesk.urls"))]


def furnish() -> None:
    """Two agents; a queue in which anybody may open a ticket, and one in which only agents do."""
    for name in ("sanne", "fatima"):
        User.objects.create_superuser(name, f"{name}@tc.example", f"{name}-password")
    Queue.objects.create(title="Vragen", slug="questions", allow_public_submission=True)
    Queue.objects.create(title="Balie", slug="counter", allow_public_submission=False)


if __name__ == "__main__":
    furnish() if sys.argv[1:] == ["furnish"] else execute_from_command_line(sys.argv)
