/** A range variant of asymmetric numeral systems: a state of 32 bits, words of 16 (docs/format.md, section 6.10). */

import type { Reader } from "../container/bytes";
import { MalformedError, TruncatedError } from "../errors";
import type { Vectors } from "../wasm/vectors";
import { tables, TOTAL_BITS } from "./laplace";

const LEAST = 2 ** 16, MASK = 2 ** TOTAL_BITS - 1, BYTE_BITS = TOTAL_BITS - 8, LONGEST_ESCAPE = 5;
/** What the kernel returns for damaged streams. */
const TRUNCATED = 1, MALFORMED = 2;
/** No byte of a stream can hold more symbols. */
export const SYMBOLS_PER_BYTE = 2 ** 15;

/** Decodes symbols from a reader's position on; `TruncatedError` and `MalformedError` for damaged streams. */
export class RansDecoder {
  private state: number;
  private readonly words: Uint8Array;
  private at = 0;
  private readonly frequencies = tables().frequencies;
  private readonly starts = tables().starts;
  private readonly radii = tables().radii;

  constructor(private readonly reader: Reader) {
    this.state = reader.uint32();
    if (this.state < LEAST) throw new MalformedError(`${reader.name}: expected a state of at least 2^16, got ${this.state}`);
    this.words = reader.rest();
  }

  /** The distance of an integer from the centre, under the distribution of a row. */
  distance(row: number): number {
    const { frequencies, starts } = this, slot = this.state & MASK, at = 256 * row;
    let symbol = at + 128;
    while (slot < starts[symbol]) symbol--;
    while (slot >= starts[symbol] + frequencies[symbol]) symbol++;
    this.advance(frequencies[symbol], slot - starts[symbol], TOTAL_BITS);
    return symbol === at ? this.escape(this.radii[row]) : symbol - at - 128;
  }

  /** Runs a kernel that goes on from here; it gets the address and the number of the bytes of the stream. */
  runKernel({ run }: Vectors, bytes: number, kernel: (bytes: number, length: number) => number): void {
    run.begin(this.state);
    const status = kernel(bytes, this.words.length - this.at);
    if (status === TRUNCATED) throw this.truncated();
    if (status === MALFORMED) throw this.malformed();
    this.state = (run.state.value as number) >>> 0;
    this.at += run.next.value as number;
  }

  /** The bytes of the stream from here on. */
  get rest(): Uint8Array {
    return this.words.subarray(this.at);
  }

  /** Moves the reader behind the stream. */
  finish(): void {
    if (this.state !== LEAST) throw new MalformedError(`${this.reader.name}: expected the last state 2^16, got ${this.state}`);
    this.reader.take(this.at);
  }

  /** `MalformedError` for what no encoder writes. */
  malformed(): MalformedError {
    return new MalformedError(`${this.reader.name}: an escape is too long, or an integer does not fit 32 bits`);
  }

  private truncated(): TruncatedError {
    return new TruncatedError(`${this.reader.name}: a stream of symbols runs past the end`);
  }

  private escape(radius: number): number {
    let value = 0, byte = 128;
    for (let i = 0; byte >= 128; i++) {
      if (i === LONGEST_ESCAPE) throw this.malformed();
      const slot = this.state & MASK;
      byte = slot >> BYTE_BITS;
      this.advance(1 << BYTE_BITS, slot & ((1 << BYTE_BITS) - 1), TOTAL_BITS);
      value += (byte & 127) * 128 ** i;
      if (byte === 0 && i > 0) throw this.malformed();
    }
    const magnitude = radius + 1 + Math.floor(value / 2);
    return value % 2 ? -magnitude : magnitude;
  }

  private advance(frequency: number, rest: number, bits: number): void {
    const state = frequency * (this.state >>> bits) + rest;
    this.state = state < LEAST ? state * 2 ** 16 + this.word() : state;
  }

  private word(): number {
    const { words, at } = this;
    if (at + 1 >= words.length) throw this.truncated();
    this.at = at + 2;
    return words[at] | (words[at + 1] << 8);
  }
}
