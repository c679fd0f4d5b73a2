"""Every SQL statement, by subject: session first, then values; no commit inside."""
