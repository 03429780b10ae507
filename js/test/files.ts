/** Files made of others, for tests. */

import { Reader } from "../src/container/bytes";
import { type Cbor, CborFloat } from "../src/container/cbor";
import { crc32 } from "../src/container/crc32";
import { readFile } from "../src/container/format";

const START = 9; // of the header's length: behind magic and version

/** The header's CBOR of a file, and its sections. */
export function split(file: Uint8Array): { cbor: Uint8Array; sections: readonly Uint8Array[] } {
  const reader = new Reader(file.subarray(START));
  return { cbor: reader.take(reader.varint()), sections: readFile(file).sections };
}

/** The file of a header's CBOR and sections, with checksums; nothing is checked. */
export function sealed(cbor: Uint8Array | readonly number[], sections: readonly Uint8Array[]): Uint8Array {
  const magic = [0x89, 0x53, 0x49, 0x4e, 0x52, 0x0d, 0x0a, 0x1a, 1];
  const head = Uint8Array.from([...magic, ...(cbor.length < 128 ? [cbor.length] : [(cbor.length & 127) | 128, cbor.length >> 7]), ...cbor]);
  const start = crc32(head), parts = sections.map((section) => [...section, ...word(crc32(section, start))]);
  return Uint8Array.from([...head, ...word(start), ...parts.flat()]);
}

function word(value: number): number[] {
  return [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
}

/** A value in CBOR, floats in 64 bits and maps in their order. */
export function cborOf(value: Cbor): number[] {
  if (value === null || typeof value === "boolean") return [value === null ? 0xf6 : 0xf4 + Number(value)];
  if (typeof value === "number") return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === "bigint") return [value < 0n ? 0x3b : 0x1b, ...bytesOf64((view) => view.setBigUint64(0, value < 0n ? -1n - value : value))];
  if (value instanceof CborFloat) return [0xfb, ...bytesOf64((view) => view.setFloat64(0, value.value))];
  if (typeof value === "string") return [...head(3, new TextEncoder().encode(value).length), ...new TextEncoder().encode(value)];
  if (value instanceof Uint8Array) return [...head(2, value.length), ...value];
  if (Array.isArray(value)) return [...head(4, value.length), ...value.flatMap(cborOf)];
  const map = value as ReadonlyMap<number | string, Cbor>;
  return [...head(5, map.size), ...[...map].flatMap(([key, item]) => [...cborOf(key), ...cborOf(item)])];
}

/** An unsigned LEB128 number. */
export function varintOf(n: number): number[] {
  return n < 128 ? [n] : [(n & 127) | 128, ...varintOf(Math.floor(n / 128))];
}

function head(major: number, argument: number): number[] {
  if (argument < 24) return [(major << 5) | argument];
  return [(major << 5) | 27, ...bytesOf64((view) => view.setBigUint64(0, BigInt(argument)))];
}

function bytesOf64(write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(8);
  write(new DataView(bytes.buffer));
  return bytes;
}
