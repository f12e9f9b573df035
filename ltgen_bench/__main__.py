"""`python -m ltgen_bench` is `ltgen-bench`."""

from ltgen_bench.cli.main import main

if __name__ == "__main__":
    main()
