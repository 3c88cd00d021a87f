"""The doors on HTTP: console, API, public pages, callbacks."""
