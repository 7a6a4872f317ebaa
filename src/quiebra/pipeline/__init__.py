"""Run stages: one notebook, or all of them with DVC, in processes that start fast."""
