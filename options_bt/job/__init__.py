"""The job room: what a person asks for, from the job file to the single backtest."""
