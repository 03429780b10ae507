/** The coders of streams of integers by their ids (docs/format.md, section 6.2). */

import type { Reader } from "../container/bytes";
import { UnknownIdError } from "../errors";
import { decodeAdaptive, type Exponents } from "./adaptive";
import { decodeContexts } from "./contexts";
import { type Integers, isExact } from "./integers";
import { SHAPES } from "./model";
import { decodeParametric, UNIFORM } from "./parametric";
import { decodeWords } from "./words";

const PARAMETRIC = 8; // id of the parametric coder of shape 0; further shapes follow

/** The integers of a stream whose coder is known; `exponents` are those of their units. */
export function decodeStream(reader: Reader, coder: number, count: number, exponents?: Exponents): Integers {
  if (coder === 0) return constant(reader.zigzag(), count);
  if (coder === 1) return decodeWords(reader, count);
  if (coder === 2) return decodeContexts(reader, count);
  if (coder === 3) return decodeAdaptive(reader, count, exponents);
  const shape = coder - PARAMETRIC;
  if (shape === UNIFORM || (shape >= 0 && shape < SHAPES.length)) return decodeParametric(reader, shape, count);
  throw new UnknownIdError(`${reader.name}: coder id ${coder} is unknown to this version`);
}

/** The integers of a stream that begins with the id of its coder. */
export function decodeIntegers(reader: Reader, count: number): Integers {
  return decodeStream(reader, reader.byte(), count);
}

function constant(value: bigint, count: number): Integers {
  return isExact(value) ? new Float64Array(count).fill(Number(value)) : new BigInt64Array(count).fill(value);
}
