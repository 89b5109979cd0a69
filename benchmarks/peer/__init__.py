"""The same trades in options-bt and in optopsy, with a rule to explain every difference: `make peer`."""
