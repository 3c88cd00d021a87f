"""Templates and a contact's values become the content of a message."""
