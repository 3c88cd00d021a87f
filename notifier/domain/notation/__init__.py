"""How definitions are written down as plain data, read and written without any file."""
