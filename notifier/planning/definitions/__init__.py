"""Definition files: YAML and templates to domain objects, with the place of every mistake."""
