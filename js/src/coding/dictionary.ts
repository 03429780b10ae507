/** Integer dictionaries that no file holds (docs/format.md, section 7). */

import { Philox } from "./philox";

/** Ids of the kinds. */
export const GAUSSIAN = 0, SIGN = 1, HADAMARD = 2, DCT = 3;

const MOST_COSINES = 2 ** 16; // atoms of kind dct

/** Writes the atom of a number, from an offset on. */
export type Atoms = (number: number, out: Int8Array, at: number) => void;

/** Whether a dictionary of these sizes exists: one of cosines has whole rows of a grid, and f^2 k1 atoms. */
export function dictionaryExists(kind: number, seed: bigint, k1: number, k2: number): boolean {
  if (kind !== DCT) return true;
  const columns = Number(seed);
  return columns > 0 && k1 % columns === 0 && Number.isInteger(Math.sqrt(k2 / k1)) && k2 <= MOST_COSINES;
}

/** The atoms of a dictionary that exists; each has k1 entries. */
export function atomsOf(kind: number, seed: bigint, k1: number, k2: number): Atoms {
  if (kind === DCT) return cosines(Number(seed), k1, k2);
  const words = new Philox(seed, BigInt(kind));
  if (kind === GAUSSIAN) return gaussian(words, k1);
  const signs = signsOf(words, k1);
  return kind === SIGN ? signs : hadamard(signs, k1);
}

/** Ones of a word, less half of its bits. */
function gaussian(generator: Philox, k1: number): Atoms {
  const blocks = Math.ceil(k1 / 4);
  return (number, out, at) => {
    for (let i = 0; i < k1; i++) {
      if (i % 4 === 0) generator.block(number * blocks + i / 4);
      const { words } = generator, half = (2 * i) & 7;
      out[at + i] = ones(words[half]) + ones(words[half + 1]) - 32;
    }
  };
}

/** 1 - 2 b for the bits of the words, the lowest first. */
function signsOf(generator: Philox, k1: number): Atoms {
  const blocks = Math.ceil(k1 / 256);
  return (number, out, at) => {
    for (let i = 0; i < k1; i++) {
      if (i % 256 === 0) generator.block(number * blocks + i / 256);
      out[at + i] = 1 - 2 * ((generator.words[(i >> 5) & 7] >>> (i & 31)) & 1);
    }
  };
}

/** Columns of Sylvester's matrices, with signs for each matrix. */
function hadamard(signs: Atoms, k1: number): Atoms {
  const order = 2 ** (32 - Math.clz32(k1 - 1)), matrix = new Int8Array(k1);
  let known = -1;
  return (number, out, at) => {
    const block = Math.floor(number / order), column = number % order;
    if (block !== known) signs((known = block), matrix, 0);
    for (let i = 0; i < k1; i++) out[at + i] = ones(i & column) & 1 ? -matrix[i] : matrix[i];
  };
}

/** Oscillations over a grid of so many columns, in units of 1/127. */
function cosines(columns: number, k1: number, k2: number): Atoms {
  const rows = k1 / columns, factor = Math.sqrt(k2 / k1), high = factor * rows, wide = factor * columns;
  const ofRows = quarter(high), ofColumns = wide === high ? ofRows : quarter(wide);
  const across = new Float64Array(columns);
  return (number, out, at) => {
    const u = Math.floor(number / wide), v = number % wide;
    for (let x = 0; x < columns; x++) across[x] = along(ofColumns, v * (2 * x + 1));
    for (let y = 0; y < rows; y++) {
      const down = along(ofRows, u * (2 * y + 1));
      for (let x = 0; x < columns; x++) {
        // floor((127 product + 2^47) / 2^48), in two parts because 127 products exceed 2^53
        const product = down * across[x], upper = Math.floor(product / 2 ** 16), lower = product - upper * 2 ** 16;
        out[at + y * columns + x] = Math.floor((127 * upper + 2 ** 31 + Math.floor((127 * lower) / 2 ** 16)) / 2 ** 32);
      }
    }
  };
}

/** Entry i of a whole turn of cosines, of which a quarter is known. */
function along(quarter: Float64Array, i: number): number {
  const count = quarter.length - 1, place = i % (4 * count), half = place > 2 * count ? 4 * count - place : place;
  return half > count ? -quarter[2 * count - half] : quarter[half];
}

/** The integers nearest to 2^24 cos(pi i / (2 count)), i = 0 .. count. */
function quarter(count: number): Float64Array {
  return Float64Array.from({ length: count + 1 }, (_, i) => {
    const cosine = 2 ** 24 * Math.cos((Math.PI * i) / (2 * count)), nearest = Math.round(cosine);
    // Libraries compute cosines to 10^-15 at worst; near a half, a series tells on which side the cosine is.
    return Math.abs(Math.abs(cosine - nearest) - 0.5) > 1e-6 ? nearest : exactCosine(i, 4 * count);
  });
}

const PI = 3141592653589793238462643383279502884197169399375105820974944592n; // times 10^63
const BITS = 160n;

/** The integer nearest to 2^24 cos(2 pi i / turn), 0 <= i <= turn / 4, by its series in fractions of 2^-160. */
export function exactCosine(i: number, turn: number): number {
  const one = 1n << BITS, angle = (((2n * PI * one) / 10n ** 63n) * BigInt(i)) / BigInt(turn), square = (angle * angle) >> BITS;
  let sum = one;
  for (let n = 2n, term = one; term > 0n; n += 2n) {
    term = ((term * square) >> BITS) / (n * (n - 1n));
    sum += n % 4n === 2n ? -term : term;
  }
  const shift = BITS - 24n;
  return Number((sum + (1n << (shift - 1n))) >> shift);
}

/** Number of ones among 32 bits. */
function ones(bits: number): number {
  const pairs = bits - ((bits >>> 1) & 0x55555555), fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
