"""What happens to files: a bit flips, a byte is another, an end is lost, something is appended."""


def damages(data, *, step=1):
    """Yield ``data`` with one byte changed, cut off behind it, and with a byte more.

    At every ``step``-th position; the change is of one bit, another one each time, and of all bits.
    """
    for place in range(0, len(data), step):
        for mask in (1 << place % 8, 0xFF):
            yield data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]
        yield data[:place]
    yield data + b"x"
