"""The six dashboard pages; their figures come from `quiebra.services`."""
