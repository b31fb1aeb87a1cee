"""When, and in which order: Prefect flows. No SQL, no HTTP, no rules."""
