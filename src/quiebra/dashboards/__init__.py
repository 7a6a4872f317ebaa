"""Web dashboards: pages over `quiebra.services`, their widgets, and the server."""
