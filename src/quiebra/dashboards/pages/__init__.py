"""The six pages' widgets; what they show is worked out by the modules of the same names above."""
