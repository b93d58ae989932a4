"""Makes what is stored of each device equal to what its twin says."""
