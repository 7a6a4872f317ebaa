"""What happens every month by itself: one cycle, its steps, its record; and the clock where there is no other."""
