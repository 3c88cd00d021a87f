"""Who comes in: passwords, sessions, API keys, forged forms."""
