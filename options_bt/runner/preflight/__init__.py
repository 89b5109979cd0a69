"""What a run needs and costs, told before it begins."""
