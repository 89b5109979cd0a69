"""The same trades in options-bt and in optopsy, and every difference explained by a rule: `make peer`."""
