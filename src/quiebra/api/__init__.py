"""The prediction API: HTTP over `quiebra.services`, with no rule of its own."""
