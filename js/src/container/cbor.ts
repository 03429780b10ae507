/** The part of CBOR that headers use, in its one form for each value, and side sections in any (docs/format.md, section 3). */

import { FormatError, LimitError, MalformedError } from "../errors";
import { fromHalf } from "../tensor";
import { Reader } from "./bytes";

/**
 * A value. Integers are numbers up to 2^53 - 1 in magnitude, and bigints beyond. Floats are `CborFloat`: the format tells
 * 1 from 1.0. Keys of a map are all unsigned integers or all text.
 */
export type Cbor = null | boolean | number | bigint | CborFloat | string | Uint8Array | readonly Cbor[] | CborMap;
export type CborMap = ReadonlyMap<number | bigint | string, Cbor>;

/** A finite float. */
export class CborFloat {
  constructor(readonly value: number) {}
}

const MAX_DEPTH = 8;

/**
 * The only item of `data`, of at most `most` items in each other: an empty list takes a byte in the file, but many in
 * memory. `MalformedError` for everything that breaks a rule, `LimitError` for too many items. Where it is not
 * `deterministic`, numbers may be longer than they need to, and maps have their own order.
 */
export function decodeCbor(data: Uint8Array, most = data.length + 1, deterministic = true): Cbor {
  const items = new Items(data, most, deterministic);
  try {
    const value = items.item(0);
    items.reader.end();
    return value;
  } catch (error) {
    if (!(error instanceof FormatError) || error instanceof LimitError) throw error;
    throw new MalformedError(`not valid: ${error.message}`);
  }
}

/** The bytes of each value of a map with unsigned integers as keys, in its deterministic encoding. */
export function codedValues(data: Uint8Array): Map<number, Uint8Array> {
  const items = new Items(data, Infinity, true), { reader } = items, values = new Map<number, Uint8Array>();
  for (let left = items.length(); left > 0; left--) {
    const key = Number(items.item(1)), start = reader.position;
    items.item(1);
    values.set(key, data.subarray(start, reader.position));
  }
  return values;
}

class Items {
  readonly reader: Reader;
  private left: number;

  constructor(data: Uint8Array, private readonly most: number, private readonly deterministic: boolean) {
    this.reader = new Reader(data, "CBOR");
    this.left = most;
  }

  item(depth: number): Cbor {
    if (depth > MAX_DEPTH) throw new MalformedError(`nested deeper than ${MAX_DEPTH} levels`);
    if (--this.left < 0) throw new LimitError(`more than ${this.most} values in each other`);
    const { reader } = this, head = reader.byte(), major = head >> 5, info = head & 31;
    if (major === 7) return simple(reader, info, this.deterministic);
    if (info > 27 || major === 6) throw new MalformedError(`item head ${head} is a tag, an indefinite length or reserved`);
    const argument = this.argument(info);
    if (major === 0) return argument;
    if (major === 1) return argument < Number.MAX_SAFE_INTEGER ? -1 - Number(argument) : -1n - BigInt(argument);
    const length = Number(argument);
    if (major === 2) return reader.take(length).slice();
    if (major === 3) return text(reader.take(length));
    return major === 4 ? this.list(length, depth + 1) : this.map(length, depth + 1);
  }

  /** The number in the head of the item at the reader's position, such as the entries of a map. */
  length(): number {
    return Number(this.argument(this.reader.byte() & 31));
  }

  /** The number in the head of an item. */
  private argument(info: number): number | bigint {
    if (info < 24) return info;
    const bytes = this.reader.take(2 ** (info - 24));
    const value = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
    const least = info === 24 ? 24n : 1n << BigInt(4 * bytes.length);
    if (this.deterministic && value < least) throw new MalformedError(`${value} is not in its shortest form`);
    return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }

  private list(length: number, depth: number): Cbor[] {
    const items: Cbor[] = [];
    for (let i = 0; i < length; i++) items.push(this.item(depth));
    return items;
  }

  private map(length: number, depth: number): CborMap {
    const map = new Map<number | bigint | string, Cbor>();
    let before: Uint8Array | undefined;
    for (let i = 0; i < length; i++) {
      const rest = this.reader.rest(), key = this.item(depth);
      const coded = rest.subarray(0, rest.length - this.reader.remaining), major = coded[0] >> 5;
      if ((major !== 0 && major !== 3) || (before !== undefined && before[0] >> 5 !== major)) {
        throw new MalformedError("the keys of a map are neither all unsigned integers nor all text");
      }
      if (this.deterministic && before !== undefined && !precedes(before, coded)) {
        throw new MalformedError("the keys of a map are not sorted, or there are two of one");
      }
      before = coded;
      map.set(key as number | bigint | string, this.item(depth));
    }
    return map;
  }
}

function simple(reader: Reader, info: number, deterministic: boolean): Cbor {
  if (info === 20) return false;
  if (info === 21) return true;
  if (info === 22) return null;
  if (info < 25 || info > 27) throw new MalformedError(`simple value ${info} is not allowed`);
  const bytes = reader.take(2 ** (info - 24)), view = new DataView(bytes.buffer, bytes.byteOffset);
  const value = info === 25 ? fromHalf(view.getUint16(0)) : info === 26 ? view.getFloat32(0) : view.getFloat64(0);
  if (!Number.isFinite(value)) throw new MalformedError("a number is not finite");
  if (deterministic && ((info === 27 && Math.fround(value) === value) || (info > 25 && isHalf(value)))) {
    throw new MalformedError(`${value} is not in its shortest form`);
  }
  return new CborFloat(value);
}

/** Whether a finite number is a binary16: a multiple of 2^-24 with at most 11 digits, below 2^16. */
function isHalf(value: number): boolean {
  const size = Math.abs(value);
  return size < 2 ** 16 && Number.isInteger(size / Math.max(2 ** -24, 2 ** (Math.floor(Math.log2(size)) - 10)));
}

function text(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new MalformedError("a text is not UTF-8");
  }
}

/** Whether bytes sort before others. */
function precedes(a: Uint8Array, b: Uint8Array): boolean {
  const i = a.findIndex((byte, at) => byte !== b[at]);
  return i < 0 ? a.length < b.length : i < b.length && a[i] < b[i];
}
