"""Where is everything kept? Tables, engine, transactions, migrations."""
