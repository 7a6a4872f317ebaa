"""Dashboard server: Voila with forked kernels, authentication and limits."""
