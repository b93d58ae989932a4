"""What the app answers over HTTP."""
