"""The command doctor: checks the chain from the IoT hub to the API, and says how to fix what is broken."""
