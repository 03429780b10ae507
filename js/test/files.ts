/** Files made of others, for tests. */

import { Reader } from "../src/container/bytes";
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
