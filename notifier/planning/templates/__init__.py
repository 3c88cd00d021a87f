"""Templates as the console edits them: drafts, their checks and looks, versions, differences, export."""
