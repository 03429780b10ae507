/** Integers on a grid, each in the context of its neighbours (docs/format.md, section 6.7): coder 2. */

import type { Reader } from "../container/bytes";
import { MalformedError } from "../errors";
import type { Integers } from "./integers";
import { closeBody, openBody, RangeDecoder } from "./rangecoder";

const CONTEXT = contextsOf([0, 1, 2, 3, 5, 8, 12, 18]); // by the weighted sum of the magnitudes around a place
const UNARY = 15; // from this magnitude on, the rest follows in an Elias gamma code
const LONGEST = 60; // bits of that rest

/** `count` integers in rows. */
export function decodeContexts(reader: Reader, count: number): Integers {
  const row = rowOf(reader, count), body = openBody(reader, count), decoder = new RangeDecoder(body);
  const bits = new Bits(decoder), values = new Float64Array(count);
  // Magnitudes of the row, the one above and the one above that, with two places before a row and one behind it.
  const width = Math.min(row, count) + 3;
  let here = new Float64Array(width), above = new Float64Array(width), above2 = new Float64Array(width);
  let signs = new Uint8Array(width), signsAbove = new Uint8Array(width);
  let large: Map<number, bigint> | undefined;
  for (let first = 0; first < count; first += row) {
    here.fill(0);
    signs.fill(0);
    const end = Math.min(row, count - first) + 2;
    for (let at = 2; at < end; at++) {
      const near = 2 * (here[at - 1] + above[at]) + here[at - 2] + above2[at] + above[at - 1] + above[at + 1];
      const context = near < CONTEXT.length ? CONTEXT[near] : 8;
      if (bits.next(ZERO + context) === 0) continue;
      let size = 1;
      while (size < UNARY && bits.next(MORE + 5 * size + ((context + 1) >> 1)) === 1) size++;
      const rest = size < UNARY ? 0n : gamma(decoder, reader);
      size += Number(rest);
      const minus = bits.next(MINUS + 3 * signs[at - 1] + signsAbove[at]);
      here[at] = size;
      signs[at] = 1 + minus;
      values[first + at - 2] = minus ? -size : size;
      if (size > Number.MAX_SAFE_INTEGER) (large ??= new Map()).set(first + at - 2, (minus ? -1n : 1n) * (BigInt(UNARY) + rest));
    }
    [above2, above, here] = [above, here, above2];
    [signsAbove, signs] = [signs, signsAbove];
  }
  decoder.finish();
  closeBody(reader, body);
  return large === undefined ? values : BigInt64Array.from(values, (value, i) => large.get(i) ?? BigInt(value));
}

/** The length of the rows of a grid of so many integers. */
export function rowOf(reader: Reader, count: number): number {
  const row = reader.varint(Math.max(count, 1));
  if (row < 1) throw new MalformedError(`${reader.name}: rows without numbers`);
  return row;
}

// Places of the models: zero[9], more[15][5], minus[9].
const ZERO = 0, MORE = 9, MINUS = MORE + 5 * UNARY, MODELS = MINUS + 9;
const STEP = 2; // added to the count of a bit that occurs
const FULL = 256; // sum of the counts above which both are halved

/** Bits of adaptive models. */
class Bits {
  private readonly zeros = new Uint16Array(MODELS).fill(1);
  private readonly ones = new Uint16Array(MODELS).fill(1);

  constructor(private readonly decoder: RangeDecoder) {}

  /** The next bit, of this model. */
  next(model: number): 0 | 1 {
    const { zeros, ones } = this, bit = this.decoder.bit(zeros[model], zeros[model] + ones[model]);
    if (bit) ones[model] += STEP;
    else zeros[model] += STEP;
    if (zeros[model] + ones[model] > FULL) {
      zeros[model] = (zeros[model] + 1) >> 1;
      ones[model] = (ones[model] + 1) >> 1;
    }
    return bit;
  }
}

/** A number from 0 on: a one for each bit below the highest of it and 1, a zero, and those bits. */
function gamma(decoder: RangeDecoder, reader: Reader): bigint {
  let length = 0, value = 1n;
  while (decoder.bit(1, 2)) {
    if (++length > LONGEST) throw new MalformedError(`${reader.name}: a decoded integer does not fit 62 bits`);
  }
  for (let i = 0; i < length; i++) value = 2n * value + BigInt(decoder.bit(1, 2));
  return value - 1n;
}

/** How many of the thresholds are below a sum, for sums up to the largest one and 1. */
function contextsOf(thresholds: readonly number[]): Uint8Array {
  const length = thresholds[thresholds.length - 1] + 2;
  return Uint8Array.from({ length }, (_, near) => thresholds.filter((threshold) => threshold < near).length);
}
