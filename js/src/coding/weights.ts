/** Integer weights of several small tensors in one stream (docs/format.md, section 6.11). */

import type { Reader } from "../container/bytes";
import { MalformedError } from "../errors";
import { gaussian, halfWidth } from "./model";
import { closeBody, openBody, RangeDecoder } from "./rangecoder";

const KINDS = 6, STEPS = 64, EXPONENTS = 16, LENGTHS = 64, LONGEST = 32, PIECE = 16, MOST_RADIUS = 2047, LIMIT = 2 ** 31;
/** Half widths within which a distribution of each shape has its mass. */
const SUPPORTS = [64, 12, 6, 4, 3] as const;

/** The integers of tensors of these sizes: `TruncatedError`, `MalformedError` or `LimitError`. */
export function decodeWeights(reader: Reader, counts: readonly number[]): Int32Array[] {
  const body = openBody(reader, counts.reduce((sum, count) => sum + count, 0));
  const decoder = new RangeDecoder(body), tensors = counts.map((count) => tensor(decoder, count, reader.name));
  decoder.finish();
  closeBody(reader, body);
  return tensors;
}

function tensor(decoder: RangeDecoder, count: number, name: string): Int32Array {
  const values = new Int32Array(count), kind = decoder.uniform(KINDS);
  if (kind === 0) return values;
  const shape = kind - 1, scale = 2 * decoder.uniform(STEPS), unit = 2 ** decoder.uniform(EXPONENTS);
  const radius = Math.min(MOST_RADIUS, Math.max(1, Math.floor((SUPPORTS[shape] * halfWidth(scale)) / 2 ** 16)));
  const model = gaussian(shape, scale, 2 * radius + 2, radius), symbols = new Float64Array(count);
  decoder.symbols(model, symbols);
  for (let i = 0; i < count; i++) {
    const value = (symbols[i] > 2 * radius ? escaped(decoder, radius, name) : symbols[i] - radius) * unit;
    if (Math.abs(value) >= LIMIT) throw new MalformedError(`${name}: a weight is not below 2^31`);
    values[i] = value;
  }
  return values;
}

/** An integer beyond the radius. */
function escaped(decoder: RangeDecoder, radius: number, name: string): number {
  const length = decoder.uniform(LENGTHS);
  if (length > LONGEST) throw new MalformedError(`${name}: a weight is not below 2^31`);
  let rest = 2 ** length - 1;
  for (let at = 0; at < length; at += PIECE) rest += decoder.uniform(2 ** Math.min(PIECE, length - at)) * 2 ** at;
  const magnitude = radius + 1 + Math.floor(rest / 2);
  return rest % 2 ? -magnitude : magnitude;
}
