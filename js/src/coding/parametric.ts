/** Integers under one distribution (docs/format.md, section 6.2): coders 8 to 12 and 15. */

import type { Reader } from "../container/bytes";
import { MalformedError } from "../errors";
import { type Integers, isExact } from "./integers";
import { gaussian, uniform } from "./model";
import { closeBody, openBody, RangeDecoder } from "./rangecoder";

/** The number of the shape of equal frequencies. */
export const UNIFORM = 7;

const BUCKETS = 12; // bits of a bucket's number; what is below is stored as it is
const EXPLICIT = 255; // a radius code behind which the support is stated

/** A support of integers from `low` on, and a centre within it. */
interface Support {
  readonly low: bigint;
  readonly width: bigint;
  readonly centre: bigint;
}

/** `count` integers under a distribution of a shape, 0 .. 4 or UNIFORM. */
export function decodeParametric(reader: Reader, shape: number, count: number): Integers {
  const scale = shape === UNIFORM ? 0 : reader.byte();
  const support = shape === UNIFORM ? stated(reader) : symmetric(reader, scale >= 128);
  const { low, width } = support, high = low + width - 1n;
  if (low < -(2n ** 63n) || high >= 2n ** 63n) throw new MalformedError(`${reader.name}: a support reaches beyond 64 bits`);
  const shift = Math.max(0, bitsOf(width - 1n) - BUCKETS), bits = BigInt(shift);
  const size = Number((width - 1n) >> bits) + 1, centre = Number((support.centre - low) >> bits);
  const body = openBody(reader, count), decoder = new RangeDecoder(body), buckets = new Float64Array(count);
  decoder.symbols(shape === UNIFORM ? uniform(size) : gaussian(shape, scale & 127, size, centre), buckets);
  decoder.finish();
  const parts = shift > 0 ? body.take(Math.ceil((count * shift) / 8)) : new Uint8Array(0);
  const exact = isExact(low) && isExact(high) && isExact(width);
  const values = exact ? offsetBy(buckets, parts, shift, support, reader) : offset64(buckets, parts, shift, support, reader);
  closeBody(reader, body);
  return values;
}

/** A support that is stated, with its beginning as the centre. */
function stated(reader: Reader): Support {
  const low = reader.zigzag();
  return { low, width: reader.varint64() + 1n, centre: low };
}

/** A support around a centre, or one that is stated. */
function symmetric(reader: Reader, hasCentre: boolean): Support {
  const code = reader.byte();
  if (code !== EXPLICIT) {
    const centre = hasCentre ? reader.zigzag() : 0n;
    const radius = code < 16 ? BigInt(code) : BigInt(8 + (code & 7)) << BigInt((code >> 3) - 1);
    return { low: centre - radius, width: 2n * radius + 1n, centre };
  }
  const { low, width } = stated(reader), high = low + width - 1n;
  if (!hasCentre) return { low, width, centre: low > 0n ? low : high < 0n ? high : 0n };
  const within = reader.varint64();
  if (within >= width) throw new MalformedError(`${reader.name}: the centre is outside the support`);
  return { low, width, centre: low + within };
}

/** Integers as numbers: low + bucket 2^shift + the low part. Buckets become the integers. */
function offsetBy(buckets: Float64Array, parts: Uint8Array, shift: number, support: Support, reader: Reader): Float64Array {
  const low = Number(support.low), width = Number(support.width), unit = 2 ** shift, bits = new BitReader(parts);
  for (let i = 0; i < buckets.length; i++) {
    const offset = buckets[i] * unit + bits.take(shift);
    if (offset >= width) throw beyond(reader);
    buckets[i] = low + offset;
  }
  bits.end(reader);
  return buckets;
}

/** The same, as integers of 64 bits in two halves. */
function offset64(buckets: Float64Array, parts: Uint8Array, shift: number, support: Support, reader: Reader): BigInt64Array {
  const values = new BigInt64Array(buckets.length), halves = new Uint32Array(values.buffer), bits = new BitReader(parts);
  const [low, lowHigh] = halvesOf(support.low), [last, lastHigh] = halvesOf(support.width - 1n);
  const upperBits = Math.max(0, shift - 32), upperUnit = 2 ** upperBits, lowerUnit = 2 ** (shift - upperBits);
  for (let i = 0; i < buckets.length; i++) {
    // A bucket stands above the low part, whose upper bits come first.
    const above = buckets[i] * upperUnit + bits.take(upperBits), lower = bits.take(shift - upperBits);
    const sum = (above % (2 ** 32 / lowerUnit)) * lowerUnit + lower, upper = Math.floor(above / (2 ** 32 / lowerUnit));
    if (upper > lastHigh || (upper === lastHigh && sum > last)) throw beyond(reader);
    halves[2 * i] = low + sum;
    halves[2 * i + 1] = lowHigh + upper + Number(low + sum >= 2 ** 32);
  }
  bits.end(reader);
  return values;
}

function beyond(reader: Reader): MalformedError {
  return new MalformedError(`${reader.name}: a decoded integer is outside its declared support`);
}

/** The lower and the upper 32 bits of an integer in two's complement. */
function halvesOf(value: bigint): [number, number] {
  return [Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n))];
}

/** Length of a number in binary. */
function bitsOf(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length;
}

/** Reads numbers of some bits each, the highest bit first. */
class BitReader {
  private at = 0;
  private bit = 0; // bits of the byte at `at` that were read

  constructor(private readonly data: Uint8Array) {}

  /** The next number of at most 52 bits. */
  take(bits: number): number {
    let value = 0;
    for (let left = bits; left > 0; ) {
      const some = Math.min(left, 8 - this.bit), rest = 8 - this.bit - some;
      value = value * 2 ** some + ((this.data[this.at] >> rest) & (2 ** some - 1));
      left -= some;
      this.bit += some;
      if (this.bit === 8) {
        this.bit = 0;
        this.at++;
      }
    }
    return value;
  }

  /** `MalformedError` where a bit after the last number is 1. */
  end(reader: Reader): void {
    if (this.bit > 0 && (this.data[this.at] & (255 >> this.bit)) !== 0) {
      throw new MalformedError(`${reader.name}: padding bits are not zero`);
    }
  }
}
