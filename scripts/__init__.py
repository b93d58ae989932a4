"""What is run by a name: by make, by azd, by hand."""
