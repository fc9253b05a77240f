"""How wrong each sketch is, for streams of ten to a million items, over many trials, beside Apache DataSketches.

    python -m benchmarks.accuracy            # about eight minutes; writes docs/data/accuracy.json
    python -m benchmarks.accuracy --quick    # less than a minute; prints only
    python -m benchmarks.accuracy.pictures   # draws docs/pictures from that data

A trial is a new stream, or new items in it, that is asked about at each length on its way. Errors of all trials are
told as their quantiles at 0, ±1, ±2 and ±3 standard deviations of a normal error, as DataSketches' own
characterisation does: between -2 and 2 are 95.4 % of the errors, whatever their distribution. The seed decides
everything but the coins of DataSketches' KLL, which it throws itself.
"""
