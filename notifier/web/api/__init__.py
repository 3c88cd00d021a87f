"""The bank's systems' face: `/api/v1`."""
