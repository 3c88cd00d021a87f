"""Delivery: claim, render, send, record; and what comes back from providers."""
