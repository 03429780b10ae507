/** Sparse combinations of atoms (docs/format.md, section 6.1). */

import type { Reader } from "../container/bytes";
import { LimitError, MalformedError, UnknownIdError } from "../errors";
import { sizeOf } from "../tensor";
import { decodeIntegers } from "./coders";
import { atomsOf, DCT, dictionaryExists } from "./dictionary";
import { within } from "./integers";
import { decodeSets } from "./sets";

const STORED = 15; // kind of the dictionaries that stand in the record
const ORDERED = 1; // id of the coder of indices that keeps their order; 0 codes sets
const MAX_ATOMS = 2 ** 16, MAX_LENGTH = 2 ** 24;
const MAX_PRODUCTS = 2 ** 32, MAX_ENTRIES = 2 ** 28, MAX_STORED = 2 ** 22;
const MAX_STORED_ENTRY = 2 ** 15, MAX_ENTRY = 127; // magnitudes of entries
const WORK_OF_PRODUCT = 2 ** 10, WORK_OF_ENTRY = 2 ** 12; // in multiply-adds

/** The dictionary of a record, and its vectors. */
export interface Combinations {
  readonly kind: number;
  readonly seed: bigint;
  /** Atoms of the dictionary, and of a vector. */
  readonly k2: number;
  readonly s: number;
  readonly indexCoder: number;
  /** Length and number of the vectors. */
  readonly k1: number;
  readonly n: number;
  /** Places in the tensor between elements of a vector, and between vectors. */
  readonly along: number;
  readonly across: number;
}

/** Reads the description of a dictionary, for a real tensor of a shape; checks all limits. */
export function readCombinations(reader: Reader, shape: readonly number[]): Combinations {
  const byte = reader.byte(), kind = byte & 15, axis = (byte >> 4) & 3, indexCoder = byte >> 6;
  if ((kind > DCT && kind !== STORED) || axis > 2 || indexCoder > ORDERED) {
    throw new UnknownIdError(`${reader.name}: unknown dictionary, axis or index coder in ${byte}`);
  }
  if (axis < 2 && shape.length === 0) throw new MalformedError(`${reader.name}: a tensor without dimensions has no rows or columns`);
  const seed = reader.varint64(), k2 = reader.varint(MAX_ATOMS), s = reader.varint(MAX_ATOMS);
  const [first, rest] = axis < 2 ? [shape[0], sizeOf(shape.slice(1))] : [1, sizeOf(shape)];
  const [k1, n] = axis === 0 ? [first, rest] : [rest, first], [along, across] = axis === 0 ? [n, 1] : [1, k1];
  if (s < 1 || s > Math.min(k1, k2)) throw new MalformedError(`${reader.name}: ${s} of ${k2} atoms for vectors of length ${k1}`);
  if (kind === STORED ? seed !== 0n : !dictionaryExists(kind, seed, k1, k2)) {
    throw new MalformedError(`${reader.name}: no dictionary of seed ${seed} has ${k2} atoms of length ${k1}`);
  }
  const tooMany = s * n * k1 > MAX_PRODUCTS || k1 * Math.min(k2, s * n) > MAX_ENTRIES || k1 > MAX_LENGTH;
  if (tooMany || (kind === STORED && k1 * k2 > MAX_STORED)) {
    throw new LimitError(`${reader.name}: ${s} of ${k2} atoms for ${n} vectors of length ${k1} are more than this reader adds up`);
  }
  return { kind, seed, k2, s, indexCoder, k1, n, along, across };
}

/** The weights for coefficients q, `s` for each vector; reads the indices and the dictionary, if it is stored. */
export function readWeights(reader: Reader, about: Combinations, q: Float64Array, step: number, offset: number): Float64Array {
  const { kind, k1, k2, s, n, along, across } = about;
  reader.spend(WORK_OF_PRODUCT * s * n * k1 + WORK_OF_ENTRY * k1 * Math.min(k2, s * n));
  const indices = readIndices(reader, about);
  const starts = new Int32Array(s * n); // of the atoms in the table
  const table = kind === STORED ? readTable(reader, about, indices, starts) : makeTable(about, indices, starts);
  // Sums of coefficients in two parts are exact where those of whole ones might not be.
  const largest = q.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  const unit = (kind === STORED ? MAX_STORED_ENTRY : MAX_ENTRY) * s * largest <= 2 ** 53 ? 1 : 2 ** 16;
  const weights = new Float64Array(k1 * n), upper = new Float64Array(k1), lower = new Float64Array(k1), plain = new Float64Array(k1);
  for (let vector = 0; vector < n; vector++) {
    for (const sums of [upper, lower, plain]) sums.fill(0);
    for (let j = vector * s; j < (vector + 1) * s; j++) {
      const high = Math.floor(q[j] / unit), low = q[j] - high * unit;
      add(table, starts[j], high, upper);
      if (low !== 0) add(table, starts[j], low, lower);
      if (offset !== 0) add(table, starts[j], 1, plain);
    }
    for (let i = 0, at = vector * across; i < k1; i++, at += along) {
      weights[at] = step * (upper[i] * unit + lower[i]) + offset * plain[i];
    }
  }
  return weights;
}

/** Adds a multiple of the atom at a place of the table. */
function add(table: Int8Array | Float64Array, start: number, factor: number, sums: Float64Array): void {
  for (let i = 0; i < sums.length; i++) sums[i] += table[start + i] * factor;
}

/** The numbers of the atoms of all vectors, one vector after the other. */
function readIndices(reader: Reader, { kind, k2, s, n, indexCoder }: Combinations): Float64Array | Uint16Array {
  if (indexCoder === ORDERED) return within(decodeIntegers(reader, s * n), 0, k2 - 1, reader, "an index");
  if (kind === STORED && s === k2) return Uint16Array.from({ length: s * n }, (_, i) => i % s);
  return decodeSets(reader, s, n, k2);
}

/** A stored dictionary. */
function readTable(reader: Reader, { k1, k2 }: Combinations, indices: ArrayLike<number>, starts: Int32Array): Float64Array {
  for (let i = 0; i < starts.length; i++) starts[i] = indices[i] * k1;
  return within(decodeIntegers(reader, k1 * k2), -MAX_STORED_ENTRY, MAX_STORED_ENTRY, reader, "an entry of the dictionary");
}

/** The atoms that are used, each once. */
function makeTable({ kind, seed, k1, k2 }: Combinations, indices: ArrayLike<number>, starts: Int32Array): Int8Array {
  const places = new Int32Array(k2).fill(-1);
  let used = 0;
  for (let i = 0; i < starts.length; i++) {
    if (places[indices[i]] < 0) places[indices[i]] = k1 * used++;
    starts[i] = places[indices[i]];
  }
  const table = new Int8Array(k1 * used), atoms = atomsOf(kind, seed, k1, k2);
  places.forEach((place, number) => {
    if (place >= 0) atoms(number, table, place);
  });
  return table;
}
