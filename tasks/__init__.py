"""One unit of work = one transaction = one outcome. Retries, limits and timeouts live here."""
