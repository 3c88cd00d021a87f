"""The command line: translate in, call one stage function, translate out."""
