/** Readers of `.npy` and `.npz` files, for golden renderings. */

import { inflateRawSync } from "node:zlib";
import { bytesOf } from "./conformance";

/** An array of numbers: its dtype as NumPy spells it, such as "<f4", and its elements in C order. */
export interface NumpyArray {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

const READS: Record<string, (view: DataView, at: number) => number> = {
  b1: (view, at) => view.getUint8(at), u1: (view, at) => view.getUint8(at), i1: (view, at) => view.getInt8(at),
  u2: (view, at) => view.getUint16(at, true), i2: (view, at) => view.getInt16(at, true),
  u4: (view, at) => view.getUint32(at, true), i4: (view, at) => view.getInt32(at, true),
  u8: (view, at) => Number(view.getBigUint64(at, true)), i8: (view, at) => Number(view.getBigInt64(at, true)),
  f4: (view, at) => view.getFloat32(at, true), f8: (view, at) => view.getFloat64(at, true),
};

/** The array in the bytes of a `.npy` file, of version 1 and little-endian. */
export function parseNpy(bytes: Uint8Array): NumpyArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), start = 10 + view.getUint16(8, true);
  const header = new TextDecoder().decode(bytes.subarray(10, start));
  const [, dtype] = /'descr': '([^']*)'/.exec(header)!, [, sizes] = /'shape': \(([^)]*)\)/.exec(header)!;
  const shape = sizes.split(",").filter((size) => size.trim() !== "").map(Number);
  const isFortran = header.includes("'fortran_order': True") && shape.length > 1;
  if (isFortran) throw new Error("an array in Fortran's order");
  const read = READS[dtype.slice(1)], width = Number(dtype.slice(2));
  const count = shape.reduce((product, n) => product * n, 1);
  return { dtype, shape, data: Float64Array.from({ length: count }, (_, i) => read(view, start + width * i)) };
}

/** A golden `.npy` file. */
export function npyOf(name: string): NumpyArray {
  return parseNpy(bytesOf(name));
}

/** The arrays of a golden `.npz` file by name: of a zip archive, whose members are stored or deflated. */
export function npzOf(name: string): Map<string, NumpyArray> {
  const bytes = bytesOf(name), view = new DataView(bytes.buffer), arrays = new Map<string, NumpyArray>();
  let end = bytes.length - 22;
  while (view.getUint32(end, true) !== 0x06054b50) end--;
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    const [method, size, letters, extra, comment, start] = [
      view.getUint16(at + 10, true), view.getUint32(at + 20, true), view.getUint16(at + 28, true),
      view.getUint16(at + 30, true), view.getUint16(at + 32, true), view.getUint32(at + 42, true),
    ];
    const member = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + letters));
    const data = start + 30 + view.getUint16(start + 26, true) + view.getUint16(start + 28, true);
    const packed = bytes.subarray(data, data + size);
    arrays.set(member.replace(/\.npy$/, ""), parseNpy(method === 0 ? packed : new Uint8Array(inflateRawSync(packed))));
    at += 46 + letters + extra + comment;
  }
  return arrays;
}
