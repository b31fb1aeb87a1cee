"""What is one unit of work? One task, one transaction, one outcome; retries, limits and timeouts live here."""
