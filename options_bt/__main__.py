"""`python -m options_bt` is the command line, as `options-bt` is."""

from options_bt.cli import main

if __name__ == "__main__":
    main()
