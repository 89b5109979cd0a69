"""Is the best backtest of a grid any good, or just the luckiest? docs/overfitting.md says what each number means."""
