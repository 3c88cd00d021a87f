"""The users' face: server-rendered pages."""
