"""Functions on a finished run with typed results, shared by dashboards and command line."""
