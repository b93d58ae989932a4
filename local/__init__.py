"""The app on one machine: the functions host, the stand-ins, a simulated fleet. Never deployed."""
