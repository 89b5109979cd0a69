"""Jobs: the job file, its parameters and strategies, and the plan of its backtests."""
