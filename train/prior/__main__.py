"""`python -m train.prior`."""

from train.prior.main.main import main

if __name__ == "__main__":
    main()
