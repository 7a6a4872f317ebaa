"""Texts for users: translations, number and date formats, and checks of names that they type."""
