"""Interactive explorers: a control moved, a picture redrawn from cached predictions.

Layer 10. Each is thin: what it shows comes from the core, and the pictures from ``plots``.
"""
