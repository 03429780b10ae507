/** Arrays and masks that a side section stores exactly (docs/format-signals.md, "Array" and "Mask"). */

import type { Reader } from "../container/bytes";
import { MalformedError } from "../errors";
import { allocate, type DType, type Numbers } from "../tensor";
import { productOf } from "./numbers";

/** Elements of a variable: numbers, or byte strings of a length one after the other. */
export function readArray(reader: Reader, dtype: DType, count: number): Numbers {
  const order = reader.byte();
  if (order > 2) throw new MalformedError(`dataset side: expected an order of differences below 3, found ${order}`);
  const array = allocate(dtype, count), width = array.BYTES_PER_ELEMENT;
  const bytes = new Uint8Array(array.buffer), planes = reader.take(count * width);
  for (let plane = 0; plane < width; plane++) {
    for (let i = 0, from = plane * count; i < count; i++) bytes[i * width + plane] = planes[from + i];
  }
  for (let round = 0; round < order; round++) accumulate(bytes, width);
  if (dtype === "bool" && bytes.some((byte) => byte > 1)) throw new MalformedError("dataset side: a truth value is neither 0 nor 1");
  return array;
}

/** Running sums of little-endian words of so many bytes, modulo their range. */
function accumulate(bytes: Uint8Array, width: number): void {
  if (width === 8) {
    const words = new Uint32Array(bytes.buffer);
    for (let i = 2; i < words.length; i += 2) {
      const low = words[i] + words[i - 2];
      words[i] = low;
      words[i + 1] += words[i - 1] + Number(low >= 2 ** 32);
    }
    return;
  }
  const words = width === 4 ? new Uint32Array(bytes.buffer) : width === 2 ? new Uint16Array(bytes.buffer) : bytes;
  for (let i = 1; i < words.length; i++) words[i] += words[i - 1];
}

/** A stored mask, checked as it is read and unpacked on demand: a few bytes may stand for a large one. */
export class Mask {
  private readonly bits: Uint8Array | undefined;
  private readonly changes: Float64Array = new Float64Array();

  constructor(reader: Reader, private readonly shape: readonly number[]) {
    const size = productOf(shape), form = reader.byte();
    if (form === 0) {
      this.bits = reader.take(Math.ceil(size / 8));
    } else if (form === 1) {
      const count = reader.varint(), planes = reader.take(4 * count);
      const changes = new Float64Array(count);
      let at = -1;
      for (let i = 0; i < count; i++) {
        const gap = planes[i] + 2 ** 8 * planes[count + i] + 2 ** 16 * planes[2 * count + i] + 2 ** 24 * planes[3 * count + i];
        at += gap;
        if (gap < 1 || at >= size) throw new MalformedError(`dataset side: the gaps of a mask leave its ${size} positions`);
        changes[i] = at;
      }
      this.changes = changes;
    } else {
      throw new MalformedError(`dataset side: unknown form of a mask: ${form}`);
    }
  }

  /** The mask at all combinations of positions along its axes, in C order: 1 where it is true. */
  at(axes: readonly ArrayLike<number>[]): Uint8Array {
    const { bits, shape } = this, last = shape.length - 1;
    const rows = offsets(axes.slice(0, last), shape.slice(0, last)), columns = axes[last];
    const out = new Uint8Array(rows.length * columns.length);
    if (bits !== undefined) {
      for (let i = 0, at = 0; i < rows.length; i++) {
        for (let j = 0; j < columns.length; j++, at++) {
          const place = rows[i] * shape[last] + columns[j];
          out[at] = (bits[Math.floor(place / 8)] >> (7 - (place % 8))) & 1;
        }
      }
      return out;
    }
    // A cell is true where the number of changes down to it is odd: one state of all wanted columns goes down the rows.
    const places = new Map<number, number[]>();
    for (let j = 0; j < columns.length; j++) places.set(columns[j], [...(places.get(columns[j]) ?? []), j]);
    const order = Array.from(rows, (_, i) => i).sort((a, b) => rows[a] - rows[b]);
    const state = new Uint8Array(columns.length), { changes } = this;
    let next = 0;
    for (const i of order) {
      for (const end = (rows[i] + 1) * shape[last]; next < changes.length && changes[next] < end; next++) {
        for (const j of places.get(changes[next] % shape[last]) ?? []) state[j] ^= 1;
      }
      out.set(state, i * columns.length);
    }
    return out;
  }
}

/** Numbers in C order of all combinations of positions along axes. */
export function offsets(axes: readonly ArrayLike<number>[], shape: readonly number[]): Float64Array {
  return axes.reduce<Float64Array>((found, axis, number) => {
    const longer = new Float64Array(found.length * axis.length);
    let at = 0;
    for (const base of found) for (let i = 0; i < axis.length; i++) longer[at++] = base * shape[number] + axis[i];
    return longer;
  }, Float64Array.of(0));
}
