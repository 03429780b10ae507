/** Integers as words under Brotli (docs/format.md, section 6.2): coder 1. */

import type { Reader } from "../container/bytes";
import { MalformedError } from "../errors";
import { inflate } from "./inflate";
import type { Integers } from "./integers";
import { checkSymbols } from "./rangecoder";

const SIGNED = 8, INTERLEAVED = 16; // bits of the parameters; the lowest three are bytes of an integer, less one

/** `count` integers. */
export function decodeWords(reader: Reader, count: number): Integers {
  const parameters = reader.byte();
  if (parameters >= 2 * INTERLEAVED) throw new MalformedError(`${reader.name}: unknown parameters of a Brotli stream: ${parameters}`);
  const width = (parameters & 7) + 1, signed = (parameters & SIGNED) > 0;
  const data = reader.take(reader.varint());
  checkSymbols(reader, count, data.length);
  const bytes = inflate(data, count * width, reader.name);
  if (bytes.length !== count * width) {
    throw new MalformedError(`${reader.name}: a Brotli stream holds other than ${count * width} bytes`);
  }
  // Byte b of integer i is at i * apart + b * next.
  const [apart, next] = parameters & INTERLEAVED ? [width, 1] : [1, count];
  if (width > 6) return words64(bytes, count, width, signed, apart, next, reader);
  const values = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let value = 0;
    for (let at = i * apart + (width - 1) * next, b = width; b > 0; b--, at -= next) value = value * 256 + bytes[at];
    values[i] = signed && value >= 2 ** (8 * width - 1) ? value - 2 ** (8 * width) : value;
  }
  return values;
}

function words64(
  bytes: Uint8Array, count: number, width: number, signed: boolean, apart: number, next: number, reader: Reader,
): BigInt64Array {
  const values = new BigInt64Array(count), out = new Uint8Array(values.buffer);
  for (let i = 0; i < count; i++) {
    for (let b = 0; b < width; b++) out[8 * i + b] = bytes[i * apart + b * next];
    const last = out[8 * i + width - 1];
    if (signed && width < 8 && last >= 128) out[8 * i + 7] = 255;
    if (!signed && width === 8 && last >= 128) throw new MalformedError(`${reader.name}: a decoded integer does not fit 64 bits with a sign`);
  }
  return values;
}
