"""The `detect` study: boxes around objects, and how well they are found."""
