"""Entry file of a staged training Space: at its root, because there the packages beside it are found."""

from train_space.ui import main

if __name__ == "__main__":
    main()
