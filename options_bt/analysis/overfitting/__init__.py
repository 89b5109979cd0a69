"""Whether the best backtest of a grid is better than luck; docs/overfitting.md explains each number."""
