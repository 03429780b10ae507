/** Tensor records, and sections of them (docs/format.md, section 6). */

import { type Budget, Reader } from "../container/bytes";
import { LimitError, MalformedError, UnknownIdError } from "../errors";
import { type DType, type Entry, type Params, partsOf, sizeOf, type Tensor } from "../tensor";
import type { Exponents } from "./adaptive";
import { decodeIntegers, decodeStream } from "./coders";
import { fromBits, fromFloats, isLossy } from "./elements";
import { within } from "./integers";
import { halfOf, NO_PLANES, PlaneReader } from "./planes";
import { readCombinations, readWeights } from "./sparse";

/** Ids of transforms; the other one, 1, is direct with a step. */
const RAW = 0, DIRECT_MINMAX = 2, SPARSE = 3, SPARSE_MINMAX = 4, DIRECT_SCALED = 5;

const MAX_NUMBERS = 2 ** 32; // in a tensor
const MAX_STEPS = 2 ** 53, MAX_SPARSE_STEPS = 2 ** 31; // from zero
const MAX_EXPONENT = 127;
/** Powers of 2^(1/4), about. */
const QUARTERS = [256, 304, 362, 431].map((fraction) => fraction / 256);

/** The coded parameters of a network: a section, and the planes of last bits that are there. */
export interface Coded {
  readonly section: Uint8Array;
  readonly planes: readonly Uint8Array[];
  /** Planes of the whole file. */
  readonly of: number;
  /** What decoding may take. */
  readonly budget: Budget;
}

/** The tensors of a section, one record after the other; any `FormatError`. */
export function decodeRecords(manifest: readonly Entry[], coded: Coded): Params {
  const reader = new Reader(coded.section, "tensor", coded.budget);
  const planes = { there: coded.planes.map((plane, number) => new PlaneReader(plane, number)), all: coded.of };
  const params = new Map(manifest.map(({ name, shape, dtype }) => [name, decodeRecord(reader, shape, dtype, planes)]));
  reader.end();
  for (const plane of planes.there) plane.end();
  return params;
}

/** The tensor of the record at a reader's position; the same bits everywhere. */
export function decodeRecord(reader: Reader, shape: readonly number[], dtype: DType, planes = NO_PLANES): Tensor {
  const head = reader.byte(), transform = head >> 4, coder = head & 15;
  const numbers = partsOf(dtype) === 2 ? [...shape, 2] : shape, count = sizeOf(numbers);
  if (transform > DIRECT_SCALED) throw new UnknownIdError(`${reader.name}: transform id ${transform} is unknown to this version`);
  if (count > MAX_NUMBERS) throw new LimitError(`${reader.name}: ${count} numbers, expected at most ${MAX_NUMBERS}`);
  if (transform === RAW) return { dtype, shape, data: fromBits(decodeStream(reader, coder, count), dtype, reader) };
  if (!isLossy(dtype)) throw new MalformedError(`${reader.name}: a lossy transform for ${dtype}`);
  const minmax = transform === DIRECT_MINMAX || transform === SPARSE_MINMAX;
  const [step, offset] = minmax ? readMinMax(reader) : [stepOf(reader.uint16()), 0];
  if (transform === SPARSE || transform === SPARSE_MINMAX) {
    const about = readCombinations(reader, numbers), stream = decodeStream(reader, coder, about.s * about.n);
    const q = within(stream, -MAX_SPARSE_STEPS, MAX_SPARSE_STEPS, reader, "a quantised value");
    return { dtype, shape, data: fromFloats(readWeights(reader, about, q, step, offset), dtype) };
  }
  const exponents = transform === DIRECT_SCALED ? readExponents(reader, numbers) : undefined;
  const { there, all } = transform === DIRECT_MINMAX ? NO_PLANES : planes, most = MAX_STEPS / 2 ** all;
  const q = within(decodeStream(reader, coder, count, exponents), -most, most, reader, "a quantised value");
  for (const plane of there) plane.refine(q);
  restore(q, step, offset, all, there.length);
  if (exponents !== undefined) scale(q, exponents);
  return { dtype, shape, data: fromFloats(q, dtype) };
}

/** Turns levels, of which the first planes of all are there, into the middles of what they stand for. */
function restore(q: Float64Array, step: number, offset: number, all: number, there: number): void {
  const cell = 2 ** (all - there), half = halfOf(all), unit = step / 2 ** all, middle = offset + (unit * (cell - 1)) / 2;
  for (let i = 0; i < q.length; i++) q[i] = unit * (q[i] * cell - half) + middle;
}

/** Multiplies weights by their units. */
function scale(values: Float64Array, { rows, columns }: Exponents): void {
  for (let row = 0, at = 0; row < rows.length; row++) {
    for (let column = 0; column < columns.length; column++, at++) {
      const exponent = rows[row] + columns[column];
      values[at] *= QUARTERS[exponent & 3] * 2 ** (exponent >> 2);
    }
  }
}

/** The step of a code of 16 bits. */
export function stepOf(code: number): number {
  return (1 + (code & 255) / 256) * 2 ** ((code >> 8) - 136);
}

function readMinMax(reader: Reader): [step: number, offset: number] {
  const step = reader.float32(), offset = reader.float32();
  if (!(Number.isFinite(step) && step >= 0 && Number.isFinite(offset))) {
    throw new MalformedError(`${reader.name}: expected finite step and offset, got ${step}, ${offset}`);
  }
  return [step, offset];
}

/** Exponents of the rows and columns of a tensor, whose last axis gives the columns. */
function readExponents(reader: Reader, shape: readonly number[]): Exponents {
  const [rows, columns] = [sizeOf(shape.slice(0, -1)), shape.at(-1) ?? 1].map((count) =>
    within(decodeIntegers(reader, count), 0, MAX_EXPONENT, reader, "the exponent of a unit"),
  );
  return { rows, columns };
}
