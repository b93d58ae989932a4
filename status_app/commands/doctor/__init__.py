"""The command doctor: is the chain from the IoT hub to the API whole, and where not, what mends it."""
