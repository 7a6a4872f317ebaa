"""Out-of-time validation of scores, with bootstrap intervals clustered by company; monitoring."""
