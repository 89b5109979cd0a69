"""What is measured and compared by hand, each by a make target."""
