/** The range coder, and bodies of range-coded symbols (docs/format.md, sections 6.2 and 6.4). */

import { Reader } from "../container/bytes";
import { LimitError, MalformedError, TruncatedError } from "../errors";

/** Sum of the frequencies of every modelled symbol. */
export const TOTAL = 2 ** 20;

const WINDOW = 2 ** 48;
const LEAST_RANGE = 2 ** 32;
const READ_AHEAD = 6; // bytes beyond the end of the data that may be read, as zeros

/**
 * Decodes the stream at a reader's position; `finish` moves the reader behind it. All methods raise `TruncatedError` where
 * the stream runs past the end of the reader, and `MalformedError` where no encoder can have written it.
 */
export class RangeDecoder {
  private readonly data: Uint8Array;
  // Both stay below 2^48 between symbols, so that binary64 holds them exactly.
  private code = 0;
  private range = WINDOW;
  private at = 0;

  constructor(private readonly reader: Reader) {
    this.data = reader.rest();
    for (let i = 0; i < 3; i++) this.code = this.code * 2 ** 16 + this.word();
  }

  /** The next symbol under cumulative frequencies 0 .. TOTAL, an entry more than there are symbols. */
  symbol(cumulative: Uint32Array): number {
    const unit = Math.floor(this.range / TOTAL), slot = (this.code / unit) | 0;
    let symbol = 0;
    for (let end = cumulative.length - 1; end - symbol > 1; ) {
      const middle = (symbol + end) >> 1;
      if (cumulative[middle] <= slot) symbol = middle;
      else end = middle;
    }
    const start = cumulative[symbol];
    this.narrow(start * unit, (cumulative[symbol + 1] - start) * unit);
    return symbol;
  }

  /** As many symbols of one model as `out` has entries. */
  symbols(cumulative: Uint32Array, out: Float64Array): void {
    for (let i = 0; i < out.length; i++) out[i] = this.symbol(cumulative);
  }

  /** The next of `total` <= TOTAL equally likely numbers from 0 on. */
  uniform(total: number): number {
    const unit = Math.floor(this.range / total);
    const value = Math.min(Math.floor(this.code / unit), total - 1);
    this.narrow(value * unit, unit);
    return value;
  }

  /** The next bit, which is 0 in `zeros` of `total` <= TOTAL cases. */
  bit(zeros: number, total: number): 0 | 1 {
    const unit = Math.floor(this.range / total), edge = zeros * unit;
    if (this.code < edge) {
      this.narrow(0, edge);
      return 0;
    }
    this.narrow(edge, (total - zeros) * unit);
    return 1;
  }

  /** Moves the reader past the stream, whose length follows from what was decoded. */
  finish(): void {
    this.check();
    const tail = this.range >= 2 ** 41 ? 1 : this.range >= 2 ** 33 ? 2 : 3;
    this.reader.take(this.at - 6 + tail);
  }

  /** Keeps a slice of the range. */
  private narrow(low: number, range: number): void {
    this.code -= low;
    this.range = range;
    while (this.range < LEAST_RANGE) {
      this.check();
      this.code = this.code * 2 ** 16 + this.word();
      this.range *= 2 ** 16;
    }
  }

  /** `MalformedError` where the code left the range; it stays outside once it is. */
  private check(): void {
    if (this.code >= this.range) throw new MalformedError(`${this.reader.name}: a range-coded stream leaves its model`);
  }

  /** The next 16 bits. */
  private word(): number {
    const { data, at } = this;
    this.at = at + 2;
    if (at + 1 < data.length) return (data[at] << 8) | data[at + 1];
    if (at >= data.length + READ_AHEAD) throw new TruncatedError(`${this.reader.name}: a range-coded stream runs past the end`);
    return at < data.length ? data[at] << 8 : 0;
  }
}

const SELF_ENDING = 4096; // a body of more symbols than this begins with its length
const SYMBOLS_PER_BYTE = 1024; // bounds the time that a byte of a file can cost
const FREE_BYTES = 4; // something always stands before a body

/** The fewest bytes in which so many symbols may be coded. */
export function leastBytes(count: number): number {
  return Math.max(0, Math.ceil(count / SYMBOLS_PER_BYTE) - FREE_BYTES);
}

/** `LimitError` where the bytes that are there are too few for so many symbols. */
export function checkSymbols(reader: Reader, count: number, available: number): void {
  const least = leastBytes(count);
  if (available < least) throw new LimitError(`${reader.name}: ${count} symbols in ${available} bytes, expected at least ${least}`);
}

/** A reader over a body of so many symbols: a part of `reader`, or `reader` itself where the body ends by itself. */
export function openBody(reader: Reader, count: number): Reader {
  const body = count > SELF_ENDING ? new Reader(reader.take(reader.varint()), reader.name) : reader;
  checkSymbols(reader, count, body.remaining);
  return body;
}

/** `MalformedError` where a body that declared its length was not read to its end. */
export function closeBody(reader: Reader, body: Reader): void {
  if (body !== reader) body.end();
}
