"""Rows made on several machines, joined: ``python -m spotter_core.merging``.

Layer 11, a command; nothing stands on it, and it loads no torch but to join models. Inside, bottom
to top: where two lists of rows differ (``differences``); which version of a file is taken
(``joining``); what contradicts, and the models (``report``, ``models``); the tables of all rows
(``summary``).
"""
