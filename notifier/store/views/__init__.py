"""Read models: what a page or an answer of the API shows, in one query each."""
