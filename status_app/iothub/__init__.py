"""Reads from IoT Hub within its limits."""
