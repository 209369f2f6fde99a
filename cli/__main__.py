"""``python -m cli`` is ``spectra``: what ``torchrun -m cli`` starts several times."""

from cli.main import main

if __name__ == "__main__":
    main()
