"""The public face: survey, opt-out, preferences and tracked links; no login, no cookie, no script."""
