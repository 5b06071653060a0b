"""How applications that were made for something else run on this gateway."""
