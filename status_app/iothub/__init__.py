"""What is read from IoT Hub, within its limits."""
