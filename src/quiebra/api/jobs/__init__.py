"""Large files of companies that are scored in the background: rows of the database, worked on under a lease."""
