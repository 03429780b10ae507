/** Elements of tensors from their integers or from binary64 (docs/format.md, section 6.1). */

import type { Reader } from "../container/bytes";
import { allocate, type DType, type Numbers, partsOf } from "../tensor";
import { type Integers, within } from "./integers";

/** Whether tensors of a dtype may be quantised. */
export function isLossy(dtype: DType): boolean {
  return dtype.includes("float") || dtype.startsWith("complex");
}

/** Elements that were coded by value, or by their bits; `MalformedError` for integers outside their range. */
export function fromBits(q: Integers, dtype: DType, reader: Reader): Numbers {
  const data = allocate(dtype, q.length / partsOf(dtype)), bytes = data.BYTES_PER_ELEMENT;
  if (bytes === 8) {
    write64(q, new Uint32Array(data.buffer));
    return data;
  }
  const signed = dtype.startsWith("int"), bits = 8 * bytes;
  const low = signed ? -(2 ** (bits - 1)) : 0, high = dtype === "bool" ? 1 : 2 ** (signed ? bits - 1 : bits) - 1;
  const values = within(q, low, high, reader, `an element of ${dtype}`);
  const words = bytes === 4 ? new Uint32Array(data.buffer) : bytes === 2 ? new Uint16Array(data.buffer) : new Uint8Array(data.buffer);
  words.set(values);
  return data;
}

/** Writes integers in two's complement of 64 bits, the lower halves first. */
function write64(q: Integers, halves: Uint32Array): void {
  if (q instanceof BigInt64Array) {
    halves.set(new Uint32Array(q.buffer));
    return;
  }
  for (let i = 0; i < q.length; i++) {
    halves[2 * i] = q[i];
    halves[2 * i + 1] = Math.floor(q[i] / 2 ** 32);
  }
}

/** Numbers rounded once to the nearest element, the even one of two. */
export function fromFloats(values: Float64Array, dtype: DType): Numbers {
  if (dtype === "float16") return Uint16Array.from(values, (value) => bitsOf(value, 10, 15));
  if (dtype === "bfloat16") return Uint16Array.from(values, (value) => bitsOf(value, 7, 127));
  return dtype === "float32" || dtype === "complex64" ? Float32Array.from(values) : values;
}

const FLOAT = new Float64Array(1), HALVES = new Uint32Array(FLOAT.buffer);

/** The 16 bits of a finite number as a float with so many bits of fraction and this bias of the exponent. */
export function bitsOf(value: number, fraction: number, bias: number): number {
  FLOAT[0] = value;
  const sign = (HALVES[1] >>> 31) << 15, exponent = Math.max(((HALVES[1] >>> 20) & 2047) - 1023, 1 - bias);
  // The magnitude in units of the last place, below 2^(fraction + 1); adding 2^52 rounds it.
  const units = Math.abs(value) / 2 ** (exponent - fraction) + 2 ** 52 - 2 ** 52;
  const bits = (exponent + bias - 1) * 2 ** fraction + units, infinity = (2 * bias + 1) * 2 ** fraction;
  return sign + Math.min(bits, infinity);
}
