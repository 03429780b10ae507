/** Encodings of coordinates before the first layer (docs/format.md, section 4). */

import { atomsOf, GAUSSIAN } from "../coding/dictionary";
import type { Cbor } from "../container/cbor";
import { LimitError, MalformedError } from "../errors";
import { checkRange, idAndRest, isInteger, numberOf } from "./header";

/** Features of coordinates: the coordinates themselves, if any, and then sines and cosines of phases. */
export interface Encoding {
  /** Number e of features. */
  readonly features: number;
  /** Whether the coordinates come first. */
  readonly coordinates: boolean;
  /** Frequencies of all phases, binary32, a for each phase. Made on first use: Fourier features have a dictionary. */
  readonly frequencies: () => Float32Array;
  /** The features that are the sine and the cosine of each phase. */
  readonly sines: Int32Array;
  readonly cosines: Int32Array;
}

const MAX_FEATURES = 2 ** 16, MAX_FREQUENCY = 2 ** 23, GAUSSIAN_STD = 4;

/** The coordinates, unchanged. */
export function identity(inputs: number): Encoding {
  return { features: inputs, coordinates: true, frequencies: () => new Float32Array(), sines: new Int32Array(), cosines: new Int32Array() };
}

/** The encoding of a header's entry for so many coordinates. */
export function encodingOf(value: Cbor, inputs: number): Encoding {
  const [id, rest] = idAndRest(value, "an encoding", [0, 1, 2, 3, 4]);
  const lengths = id === 0 ? rest.length === 0 : id === 3 ? rest.length >= 2 : rest.length === 3;
  if (!lengths) throw new MalformedError("field header: an encoding has another number of parameters");
  const numbers = rest.map((number) => numberOf(number, "an encoding"));
  if (id === 0) throw new MalformedError("field header: an identity encoding is left out, not written");
  const integers = id === 1 ? [0, 2] : id === 2 ? [0, 2] : rest.map((_, i) => i).slice(1);
  if (id === 2 && isInteger(rest[0]) && numbers[0] > MAX_FEATURES / 2) {
    throw new LimitError(`field header: ${numbers[0]} Fourier features are more than ${MAX_FEATURES / 2}`);
  }
  if (!integers.every((i) => isInteger(rest[i]))) throw new MalformedError("field header: a count of an encoding is no integer");
  if (id === 1) return octaves(inputs, numbers[0], numbers[1], numbers[2]);
  if (id === 2) return fourier(inputs, numbers[0], numbers[1], numbers[2]);
  const [sigma, ...counts] = numbers;
  return id === 3 ? axisOctaves(inputs, sigma, counts) : rotatedOctaves(inputs, sigma, counts);
}

/** Octaves with `count`, `sigma` and flags: 1 puts the coordinates first, 2 the sines of an octave before its cosines. */
export function octaves(inputs: number, count: number, sigma: number, flags: number): Encoding {
  checkRange(flags, 0, 3, "the flags of octaves");
  checkOctaves(count, sigma);
  const coordinates = (flags & 1) > 0, apart = (flags & 2) > 0, first = coordinates ? inputs : 0;
  const phases = count * inputs, rows: number[][] = [];
  const sines = new Int32Array(phases), cosines = new Int32Array(phases);
  for (let i = 0, p = 0; i < count; i++) {
    for (let j = 0; j < inputs; j++, p++) {
      rows.push(along(inputs, j, Math.PI * sigma ** i));
      sines[p] = first + (apart ? 2 * i * inputs + j : 2 * p);
      cosines[p] = sines[p] + (apart ? inputs : 1);
    }
  }
  return { features: first + 2 * phases, coordinates, frequencies: () => Float32Array.from(rows.flat()), sines, cosines };
}

function axisOctaves(inputs: number, sigma: number, counts: readonly number[]): Encoding {
  if (counts.length !== inputs) throw new MalformedError(`field header: expected ${inputs} counts of octaves, one a coordinate`);
  checkCounts(counts, sigma);
  const rows = counts.flatMap((count, j) => Array.from({ length: count }, (_, i) => along(inputs, j, Math.PI * sigma ** i)));
  return beside(inputs, rows);
}

function rotatedOctaves(inputs: number, sigma: number, counts: readonly number[]): Encoding {
  if (inputs !== 2) throw new MalformedError("field header: rotated octaves have 2 coordinates");
  checkCounts(counts, sigma);
  const most = Math.max(...counts), golden = Math.PI * (3 - Math.sqrt(5)), rows: number[][] = [];
  const shorter = counts.map((count) => sigma ** (count - most));
  for (const turned of [false, true]) {
    for (let i = 0; i < most; i++) {
      const angle = golden * i, [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
      const direction = turned ? [-sine, cosine] : [cosine, sine], frequency = Math.PI * sigma ** i;
      rows.push(direction.map((d, j) => d * frequency * shorter[j]));
    }
  }
  return beside(inputs, rows);
}

function fourier(inputs: number, features: number, scale: number, seed: number): Encoding {
  checkRange(features, 1, MAX_FEATURES / 2, "the number of Fourier features");
  if (!(scale > 0 && scale <= 1e4)) throw new MalformedError("field header: the scale of Fourier features is in (0, 1e4]");
  checkRange(seed, 0, 2 ** 32 - 1, "the seed of Fourier features");
  const frequencies = (): Float32Array => {
    const atoms = atomsOf(GAUSSIAN, BigInt(seed), inputs, features), integers = new Int8Array(features * inputs);
    for (let p = 0; p < features; p++) atoms(p, integers, p * inputs);
    return Float32Array.from(integers, (integer) => integer * ((2 * Math.PI * scale) / GAUSSIAN_STD));
  };
  const sines = Int32Array.from({ length: features }, (_, p) => p);
  return { features: 2 * features, coordinates: false, frequencies, sines, cosines: sines.map((p) => features + p) };
}

/** Coordinates, and then the sine and the cosine of each phase. */
function beside(inputs: number, rows: number[][]): Encoding {
  const sines = Int32Array.from(rows, (_, p) => inputs + 2 * p);
  const frequencies = () => Float32Array.from(rows.flat());
  return { features: inputs + 2 * rows.length, coordinates: true, frequencies, sines, cosines: sines.map((at) => at + 1) };
}

function along(inputs: number, axis: number, frequency: number): number[] {
  return Array.from({ length: inputs }, (_, j) => (j === axis ? frequency : 0));
}

function checkOctaves(count: number, sigma: number): void {
  checkRange(count, 1, 64, "the number of octaves");
  if (!(sigma > 0 && sigma <= 16)) throw new MalformedError("field header: sigma of octaves is in (0, 16]");
  if (Math.PI * sigma ** (count - 1) > MAX_FREQUENCY) throw new MalformedError("field header: the octaves have too high a frequency");
}

function checkCounts(counts: readonly number[], sigma: number): void {
  counts.forEach((count) => checkRange(count, 0, 64, "a number of octaves"));
  checkOctaves(Math.max(1, ...counts), sigma);
}

/** Phases (count, phases) of coordinates (count, inputs): every product and every sum is rounded to binary32. */
export function phasesOf(coords: Float32Array, count: number, inputs: number, frequencies: Float32Array, out: Float32Array): void {
  const phases = frequencies.length / inputs;
  for (let n = 0, at = 0; n < count; n++) {
    const row = n * inputs;
    for (let p = 0; p < phases; p++) {
      const own = p * inputs;
      let phase = Math.fround(frequencies[own] * coords[row]);
      for (let j = 1; j < inputs; j++) phase = Math.fround(phase + Math.fround(frequencies[own + j] * coords[row + j]));
      out[at++] = phase;
    }
  }
}
