"""Would the tests notice a mistake in this code? `python3 dev.py mutate consent`."""
