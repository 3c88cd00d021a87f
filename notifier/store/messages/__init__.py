"""Messages: planned in chunks, claimed in batches, recorded set-based."""
