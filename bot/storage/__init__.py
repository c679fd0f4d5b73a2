"""Tables, queries, migrations and the encryption of columns; no decisions."""
