"""What a study costs and when it would end, told before anything starts.

    python -m spotter_core.planning digits

Layer 11, a command; nothing stands on it, and it loads no torch. Inside, bottom to top: what the
jobs of a study cost, and when they run on so many workers (``costs``, ``scheduling``); costs read
off a run (``measured``), or counted, if it is ``countable``, with torch, on a miniature of one
(``miniature``, ``algebra``, ``counted``); a study's whole plan, and in words (``plan``, ``text``).
"""
