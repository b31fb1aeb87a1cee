"""What do people outside see? Public pages, links and webhooks; commits rows, starts nothing."""
