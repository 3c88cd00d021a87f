"""Notifier: the communication service a bank can trust in an emergency, and every day."""
