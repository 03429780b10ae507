/** Integers of streams, within -2^63 .. 2^63 - 1 (docs/format.md, section 6.2). */

import type { Reader } from "../container/bytes";
import { MalformedError } from "../errors";

/** Integers as numbers, where all are within -2^53 .. 2^53, or else as 64 bits. */
export type Integers = Float64Array | BigInt64Array;

/** Integers within low .. high as numbers; `MalformedError` about `what` where one is outside. */
export function within(q: Integers, low: number, high: number, reader: Reader, what: string): Float64Array {
  if (q instanceof BigInt64Array && q.some((value) => value < low || value > high)) throw outside(low, high, reader, what);
  const numbers = q instanceof Float64Array ? q : Float64Array.from(q, Number);
  for (let i = 0; i < numbers.length; i++) if (numbers[i] < low || numbers[i] > high) throw outside(low, high, reader, what);
  return numbers;
}

function outside(low: number, high: number, reader: Reader, what: string): MalformedError {
  return new MalformedError(`${reader.name}: ${what} is outside ${low} .. ${high}`);
}

/** Whether a number stands for one integer alone. */
export function isExact(value: bigint): boolean {
  return value >= -(2n ** 53n) && value <= 2n ** 53n;
}
