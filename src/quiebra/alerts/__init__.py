"""Alert rules, the alerts' life cycle, their back-test on failures, and analysts' decisions."""
