"""`edge-status mcp`: a Model Context Protocol server that lets a chat ask about the fleet. It changes nothing."""
