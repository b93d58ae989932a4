"""The app for an hour under load and faults: its memory, its sockets, and how far it is behind."""
