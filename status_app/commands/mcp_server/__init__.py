"""`edge-status mcp`: a Model Context Protocol server, by which a chat asks for the fleet. It changes nothing."""
