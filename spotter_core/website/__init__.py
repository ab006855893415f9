"""The study as a website that needs no server and no network: ``python -m spotter_core.website``.

Layer 11, a command; nothing stands on it, and it loads no torch. Inside, bottom to top: single
ideas about text (``formulas``, ``rewriting``, ``privacy``, ``checking``); where things are and
what there is (``addresses``, ``executed``, ``contents``, ``captions``, ``prose``, ``outputs``); the
kinds of pages (``pages``, ``gallery``) and what stands around them (``frame``); all of them
together (``build``).
"""
