"""Renew prefect_schema.sql from the installed Prefect: `python -m nurture.cli.launcher`."""

from __future__ import annotations

from nurture.cli.launcher.seed import renew

renew()
