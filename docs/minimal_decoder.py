#!/usr/bin/env python3
"""A decoder for the pictures that `sinr encode` writes by default, for ports to other languages.

    python minimal_decoder.py photo.sinr photo.pnm [EVERY]

It has no dependencies, and follows docs/format.md by section: the file (2), the header (3), an MLP of sines (4),
pictures in one piece (5) or in blocks (format-signals.md), and records with the transforms 1 and 5 under the coders 0,
3, 8 to 12 and 15 (6). All else is refused. It evaluates pixel by pixel, so it is slow: EVERY = 4 decodes every fourth
pixel of each axis. Where this program and format.md differ, format.md is right.

Public domain (CC0 1.0).
"""

import struct
import sys
import zlib
from bisect import bisect_right
from functools import cache
from itertools import pairwise
from math import cos, isqrt, pi, sin

TOTAL = 1 << 20
NEXT_STATE = ((0, 1), (2, 3), (5, 4), (7, 6), (1, 0), (3, 2), (4, 5), (6, 7))
CHANNELS = {0: 3, 1: 1, 2: 4, 3: 2}  # of the modes RGB, L, RGBA, LA
CHANNELS |= {256 + mode: count for mode, count in CHANNELS.items()}  # and with channels that are known


def f32(x):
    """A binary64 number rounded to binary32."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


def need(condition, message):
    """Refuse a file."""
    if not condition:
        raise ValueError(message)


class Reader:
    """Bytes from a position on."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, n):
        need(self.at + n <= len(self.data), "the file ends too early")
        self.at += n
        return self.data[self.at - n : self.at]

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                need(value < 1 << 64 and (byte or shift == 7), "a varint that is too long")
                return value

    def zigzag(self):
        n = self.varint()
        return n >> 1 ^ -(n & 1)


def cbor(reader):
    """One CBOR item (section 3)."""
    major, low = divmod(reader.byte(), 32)
    if major == 7:
        if low in (20, 21, 22):
            return (False, True, None)[low - 20]
        need(low in (25, 26, 27), "CBOR: an item that the format does not allow")
        return struct.unpack(">" + "efd"[low - 25], reader.take(2 << low - 25))[0]
    need(low < 28 and major != 6, "CBOR: an item that the format does not allow")
    n = low if low < 24 else int.from_bytes(reader.take(1 << low - 24), "big")
    if major in (0, 1):
        return -1 - n if major else n
    if major in (2, 3):
        return reader.take(n) if major == 2 else reader.take(n).decode()
    items = [cbor(reader) for _ in range(n * (major - 3))]
    return items if major == 4 else dict(zip(items[::2], items[1::2]))


# -- integers under the range coder (6.2 to 6.4, 6.8) --


def root_of_two(numerator, d, bits):
    """floor(2^(bits + numerator / 2^d))"""
    value = 1 << (bits << d) + numerator
    for _ in range(d):
        value = isqrt(value)
    return value


E = [root_of_two(-k, 8, 30) for k in range(256)]
H = [root_of_two(g - 32, 3, 16) for g in range(128)]
LEAST = [root_of_two(k, 3, 0) for k in range(137)]


@cache
def cumulative(shape, scale, distances):
    """Sums of the frequencies of symbols at these distances from the centre (6.3): 0 ... 2^20."""
    if shape == 7:
        freqs = [TOTAL // len(distances)] * len(distances)
        freqs[0] += TOTAL % len(distances)
    else:
        exponents = []
        for distance in distances:
            u = (distance << 32) // H[scale]
            v = min(u, 1 << 22)
            exponents.append((isqrt(u << 16), v, v * isqrt(v << 16) >> 16, v * v >> 16, (v * v >> 16) * v >> 16)[shape])
        least = min(exponents)
        exponents = [min(e - least, 1 << 21) for e in exponents]
        weights = [E[e >> 8 & 255] >> (e >> 16) for e in exponents]
        freqs = [1 + w * (TOTAL - len(weights)) // sum(weights) for w in weights]
        freqs[distances.index(min(distances))] += TOTAL - sum(freqs)
    sums = [0]
    for freq in freqs:
        sums.append(sums[-1] + freq)
    return sums


class RangeDecoder:
    """A range-coded stream (6.4)."""

    def __init__(self, reader):
        self.reader, self.start, self.words = reader, reader.at, 3
        self.range, self.code = 1 << 48, int.from_bytes(self.ahead(0, 6), "big")

    def ahead(self, at, n):
        return self.reader.data[self.start + at : self.start + at + n].ljust(n, b"\0")

    def symbol(self, sums):
        unit = self.range // TOTAL
        index = bisect_right(sums, self.code // unit) - 1
        need(index < len(sums) - 1, "a range-coded stream leaves its model")
        self.code -= sums[index] * unit
        self.range = (sums[index + 1] - sums[index]) * unit
        while self.range < 1 << 32:
            self.code = self.code << 16 | int.from_bytes(self.ahead(2 * self.words, 2), "big")
            self.words, self.range = self.words + 1, self.range << 16
        return index

    def finish(self):
        self.reader.take(2 * (self.words - 3) + (1 if self.range >= 1 << 41 else 2 if self.range >= 1 << 33 else 3))


def integers(reader, coder, count, exponents=None):
    """A stream of `count` integers (6.2); `exponents` of units belong to coder 3 in a record of transform 5."""
    if coder == 0:
        return [reader.zigzag()] * count
    if coder == 3:
        return adaptive(reader, count, exponents)
    need(8 <= coder <= 12 or coder == 15, f"coder {coder} is not in the minimal profile")
    if coder == 15:
        low, width, scale = reader.zigzag(), reader.varint() + 1, 0
        centre = low
    else:
        first, code = reader.byte(), reader.byte()
        scale, moved = first & 127, first >> 7
        if code == 255:
            low, width = reader.zigzag(), reader.varint() + 1
            centre = low + reader.varint() if moved else min(max(0, low), low + width - 1)
        else:
            radius = code if code < 16 else (8 + (code & 7)) << (code >> 3) - 1
            centre = reader.zigzag() if moved else 0
            low, width = centre - radius, 2 * radius + 1
    shift = max(0, (width - 1).bit_length() - 12)
    size, middle = (width - 1 >> shift) + 1, centre - low >> shift
    length = reader.varint() if count > 4096 else None
    need(count <= 1024 * ((length or 0) + 4), "more symbols than the bytes allow")
    start, decoder = reader.at, RangeDecoder(reader)
    sums = cumulative(coder - 8, scale, tuple(abs(i - middle) for i in range(size)))
    values = [low + (decoder.symbol(sums) << shift) for _ in range(count)]
    decoder.finish()
    bits = int.from_bytes(reader.take(-(-count * shift // 8)), "big") >> -count * shift % 8
    values = [v + (bits >> shift * (count - 1 - i) & (1 << shift) - 1) for i, v in enumerate(values)]
    need(length is None or reader.at - start == length, "a body of another length than declared")
    return values


def adaptive(reader, count, exponents):
    """Coder 3 (6.8)."""
    first, start, radius, row = reader.byte(), reader.varint(), 2 * reader.varint(), reader.varint()
    shape, trellis, width = first & 7, first >> 3 & 1, first >> 4

    def index(mean):
        return max(bisect_right(LEAST, mean, 0, 121 if exponents is None else 137) - 1, 0)

    most = (32736, 2046) if exponents is None else (131040, 8190)
    need(shape < 5 and 1 <= row <= max(count, 1) and start <= most[0] and radius <= most[1], "coder 3: a bad model")
    length = reader.varint() if count > 4096 else None
    need(count <= 1024 * ((length or 0) + 4), "more symbols than the bytes allow")
    begin, decoder, telling = reader.at, RangeDecoder(reader), (index(start) - 16) // 2
    across, down = [0, 0], [[0, 0] for _ in range(row)]  # sums of magnitudes, and of places that count
    values = []
    for place in range(count):
        column = place % row
        if column == 0:
            across, state = [0, 0], 0
        e = 0 if exponents is None else exponents[place]
        near = 2 * across[0] + down[column][0]
        mean = (512 * start + 16 * near) // (64 * (8 + 2 * across[1] + down[column][1]))
        scale = index(mean) - 2 * e + width - 8
        if exponents is not None:
            scale += min(max((5 * (32 - (scale - 8 * trellis)) + 10) // 16, 0), 8)
        octave = min(e // 4, 15)
        largest = radius if octave == 0 else 2 * ((radius >> octave + 1) + 1)
        odd = state & 1 if trellis else 0
        levels = range(-largest - odd, largest + odd + 1, 1 + trellis)
        sums = cumulative(shape, min(max(scale, 0), 127), tuple(map(abs, levels)))
        k = levels[decoder.symbol(sums)]
        state = NEXT_STATE[state][k >> 1 & 1]
        values.append(k)
        if exponents is None or e <= telling:
            for sums in (across, down[column]):
                sums[0] += abs(k) * root_of_two(e, 2, 6)
                sums[1] += 1
    decoder.finish()
    need(length is None or reader.at - begin == length, "a body of another length than declared")
    return values


def tensor(reader, rows, columns):
    """A record (6.1) as a list of rows of binary32 weights."""
    transform, coder = divmod(reader.byte(), 16)
    need(transform in (1, 5), f"transform {transform} is not in the minimal profile")
    code = int.from_bytes(reader.take(2), "little")
    step = (1 + code % 256 / 256) * 2.0 ** (code // 256 - 136)
    units, exponents = [1.0] * (rows * columns), None
    if transform == 5:
        down = integers(reader, reader.byte(), rows)
        along = integers(reader, reader.byte(), columns)
        need(all(0 <= e <= 127 for e in down + along), "an exponent outside 0..127")
        exponents = [a + b for a in down for b in along]
        units = [(256, 304, 362, 431)[e % 4] / 256 * 2.0 ** (e // 4) for e in exponents]
    levels = integers(reader, coder, rows * columns, exponents if coder == 3 else None)
    weights = [f32(step * q * unit) for q, unit in zip(levels, units)]
    return [weights[i : i + columns] for i in range(0, len(weights), columns)]


# -- the file, the network, the picture --


def parse(blob):
    """Header and sections (2, 3); checksums are checked."""
    reader = Reader(blob)
    need(reader.take(8) == b"\x89SINR\r\n\x1a" and reader.byte() == 1, "not a .sinr file of version 1")
    length = reader.varint()
    need(length <= 1 << 20, "the header is too long")
    inner = Reader(reader.take(length))
    checksum = zlib.crc32(blob[: reader.at])
    need(reader.take(4) == checksum.to_bytes(4, "little"), "the header is damaged")
    header, sections = cbor(inner), []
    need(
        inner.at == length and set(header) <= {0, 1, 2, 4, 5, 6, 9} and header[0] == 0, "not a picture of this profile"
    )
    for length in header[5]:
        sections.append(reader.take(length))
        need(reader.take(4) == zlib.crc32(sections[-1], checksum).to_bytes(4, "little"), "a section is damaged")
    need(reader.at == len(blob), "bytes follow the last section")
    return header, sections


def frequencies(ident, sigma, *counts):
    """Pairs of frequencies of both coordinates, one for each sine and cosine of an encoding (4)."""
    need(ident in (3, 4), "the encoding is not in the minimal profile")
    if ident == 3:
        rows = [[f32(pi * sigma**i) for i in range(count)] for count in counts]
        return [(f, 0.0) for f in rows[0]] + [(0.0, f) for f in rows[1]]
    pairs, scale = [], [sigma ** (count - max(counts)) for count in counts]
    for turned in (False, True):
        for i in range(max(counts)):
            a, f = i * pi * (3 - 5**0.5), pi * sigma**i
            direction = (-sin(a), cos(a)) if turned else (cos(a), sin(a))
            pairs.append(tuple(f32(d * f * s) for d, s in zip(direction, scale)))
    return pairs


def network(field, section):
    """The MLP of section 4 as a function of two coordinates."""
    need(field[0] == 0 and field[1] == 2 and field[5][0] == 0, "the field is not in the minimal profile")
    _, _, outputs, width, hidden, activation, *encoding = field
    waves = frequencies(*encoding[0]) if encoding else []
    sizes = [2 + 2 * len(waves), *[width] * (hidden + 1), outputs]
    reader, layers = Reader(section), []
    for inputs, neurons in pairwise(sizes):
        layers.append((tensor(reader, neurons, inputs), tensor(reader, 1, neurons)[0]))
    need(reader.at == len(section), "bytes follow the last record")

    def values(c):
        x = list(c)
        for down, across in waves:
            phase = f32(f32(down * c[0]) + f32(across * c[1]))
            x += [sin(phase), cos(phase)]
        for number, (weight, bias) in enumerate(layers):
            x = [sum(map(float.__mul__, row, x)) + b for row, b in zip(weight, bias)]
            if number < len(layers) - 1:
                gain = activation[-1] if number == 0 else activation[1]
                x = [sin(gain * z) for z in x]
        return [min(max(v, -1.0), 1.0) for v in x]

    return values


def whole(signal, networks):
    """The value at pixel (row, column) of a picture in one piece (5)."""
    _, height, width, _, grid, *_ = signal

    def coordinate(i, n):
        corners, longest = grid & 1, max(height, width)
        t = 1 if not grid & 2 else (n - 1) / (longest - 1) if corners else n / longest
        return f32(((2 * i / (n - 1) if n > 1 else 1) - 1) * t if corners else ((2 * i + 1) / n - 1) * t)

    def pixel(row, column):
        c = [coordinate(row, height), coordinate(column, width)]
        return networks[0](c[::-1] if grid & 4 else c)

    return pixel


def in_blocks(signal, networks):
    """The value at pixel (row, column) of a picture in blocks (format-signals.md)."""
    _, height, width, _, rows, columns, fade, *_ = signal

    def shares(x, n, blocks):
        """(block, weight, coordinate) of the blocks with a weight at x."""
        g = fade if blocks > 1 else 0

        def ramp(d):
            return min(max(d / (2 * g) + 0.5, 0), 1) if g else float(d >= 0)

        for k in range(blocks):
            begin, end = k * n // blocks, (k + 1) * n // blocks
            weight = (ramp(x - begin) if k else 1) * (1 - (ramp(x - end) if k < blocks - 1 else 0))
            if weight:
                yield k, weight, f32(2 * (x - begin + g) / (-(-n // blocks) + 2 * g) - 1)

    def pixel(row, column):
        sums = [0.0] * CHANNELS[signal[3]]
        for i, above, y in shares(row + 0.5, height, rows):
            for j, beside, x in shares(column + 0.5, width, columns):
                sums = [s + above * beside * v for s, v in zip(sums, networks[i * columns + j]([y, x]))]
        return sums

    return pixel


def sample(value, known):
    """The sample of a value, in a channel that is unknown, constant, or has two values (5)."""
    found = round(f32((value + 1) * 127.5))
    if isinstance(known, list):
        return known[1] if 2 * found > sum(known) else known[0]
    return found if known is None else known


def decode(blob, every=1):
    """(height, width, channels, rows of bytes) of a picture; of every n-th pixel of each axis."""
    header, sections = parse(blob)
    field, signal = header[1], header[2]
    need(signal[0] in (0, 7) and signal[3] in CHANNELS, "the signal is not in the minimal profile")
    parts = signal[4] * signal[5] if signal[0] == 7 else 1
    need(len(sections) == parts and field[2] == CHANNELS[signal[3]], "the sections do not fit the picture")
    networks = [network(field, section) for section in sections]
    pixel = (in_blocks if signal[0] == 7 else whole)(signal, networks)
    known = signal[-1] if signal[3] >= 256 else [None] * field[2]
    rows = [
        bytes(
            sample(v, exact)
            for column in range(0, signal[2], every)
            for v, exact in zip(pixel(row, column), known, strict=True)
        )
        for row in range(0, signal[1], every)
    ]
    return len(rows), len(rows[0]) // field[2], field[2], rows


def main():
    """Decode a file to PGM, PPM or PAM."""
    with open(sys.argv[1], "rb") as file:
        height, width, channels, rows = decode(file.read(), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    kinds = {1: "GRAYSCALE", 2: "GRAYSCALE_ALPHA", 3: "RGB", 4: "RGB_ALPHA"}
    with open(sys.argv[2], "wb") as file:
        head = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL 255\nTUPLTYPE {kinds[channels]}\nENDHDR\n"
        file.write(head.encode() + b"".join(rows))


if __name__ == "__main__":
    main()
