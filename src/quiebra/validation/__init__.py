"""Out-of-time quality of the scores, with intervals from resampling whole companies."""
