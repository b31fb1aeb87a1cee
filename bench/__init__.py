"""How fast is it, as ratios within one run? `python3 dev.py bench`."""
