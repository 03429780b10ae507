/** Frequencies of symbols, from a few small integers by integer arithmetic alone (docs/format.md, sections 6.3 and 6.5). */

import { TOTAL } from "./rangecoder";

/** Exponents of the generalised Gaussians, by the number of the shape. */
export const SHAPES = [0.5, 1, 1.5, 2, 3] as const;
/** Number of scales. */
export const SCALES = 128;

const FAR = 2 ** 22; // beyond 64 half-widths every shape of exponent 1 or more has weight 0
const NEGLIGIBLE = 2 ** 21; // an exponent from which on weights are 0

/** floor(2^(numerator / 2^log)); exact for the powers that the format uses, none of which is near an integer. */
export function floorPower(numerator: number, log: number): number {
  let root = 2, value = 2 ** Math.floor(numerator / 2 ** log);
  for (let bit = log - 1; bit >= 0; bit--) {
    root = Math.sqrt(root);
    if ((numerator >> bit) & 1) value *= root;
  }
  return Math.floor(value);
}

const WEIGHTS = Uint32Array.from({ length: 256 }, (_, k) => floorPower(30 * 256 - k, 8));

/** Half-width of a scale in symbols, times 2^16. */
export function halfWidth(scale: number): number {
  return floorPower(96 + scale, 3);
}

/**
 * Cumulative frequencies, 0 .. TOTAL, of `size` symbols under a generalised Gaussian with its centre at a symbol, or
 * anywhere where symbols are `spacing` apart.
 */
export function gaussian(shape: number, scale: number, size: number, centre: number, spacing = 1): Uint32Array {
  const width = halfWidth(scale), exponents = new Float64Array(size);
  let mode = 0;
  for (let i = 0; i < size; i++) {
    const distance = Math.abs(spacing * i - centre);
    if (distance < Math.abs(spacing * mode - centre)) mode = i;
    exponents[i] = exponentOf(shape, Math.floor((distance * 2 ** 32) / width));
  }
  return fromExponents(exponents, mode);
}

/** The distance in half-widths to the power of a shape's exponent; both have 16 fractional bits. */
function exponentOf(shape: number, distance: number): number {
  if (shape === 0) return rootOf(distance);
  const far = Math.min(distance, FAR);
  if (shape === 1) return far;
  if (shape === 2) return Math.floor((far * rootOf(far)) / 2 ** 16);
  const square = Math.floor((far * far) / 2 ** 16);
  return shape === 3 ? square : Math.floor((square * far) / 2 ** 16);
}

function rootOf(x: number): number {
  return Math.floor(Math.sqrt(x * 2 ** 16));
}

/** Cumulative frequencies of equally likely symbols; the first one takes the remainder. */
export function uniform(size: number): Uint32Array {
  const each = Math.floor(TOTAL / size), first = TOTAL % size;
  return Uint32Array.from({ length: size + 1 }, (_, i) => (i === 0 ? 0 : i * each + first));
}

/** Cumulative frequencies in proportion to 2^-(exponents / 2^16), each at least 1; `mode` takes the remainder. */
function fromExponents(exponents: Float64Array, mode: number): Uint32Array {
  const size = exponents.length, weights = new Uint32Array(size), cumulative = new Uint32Array(size + 1);
  let least = Infinity, sum = 0;
  for (let i = 0; i < size; i++) least = Math.min(least, exponents[i]);
  for (let i = 0; i < size; i++) {
    const exponent = exponents[i] - least;
    if (exponent < NEGLIGIBLE) weights[i] = WEIGHTS[(exponent >> 8) & 255] >>> (exponent >> 16);
    sum += weights[i];
  }
  for (let i = 0, at = 0; i < size; i++) cumulative[i + 1] = at += 1 + Math.floor((weights[i] * (TOTAL - size)) / sum);
  const missing = TOTAL - cumulative[size];
  for (let i = mode; i < size; i++) cumulative[i + 1] += missing;
  return cumulative;
}

/**
 * The distribution of how many of `drawn` places, out of all `positions` <= 65,536, lie in the first half: the least
 * possible count, and cumulative frequencies of the counts from there on.
 */
export function hypergeometric(positions: number, drawn: number): { least: number; cumulative: Uint32Array } {
  const half = positions >> 1, other = positions - half, logs = logFactorials();
  const least = Math.max(0, drawn - other), size = Math.min(drawn, half) - least + 1;
  const exponents = new Float64Array(size);
  for (let i = 0, count = least; i < size; i++, count++) {
    exponents[i] = logs[count] + logs[half - count] + logs[drawn - count] + logs[other - drawn + count];
  }
  let mode = 0;
  for (let i = 1; i < size; i++) if (exponents[i] < exponents[mode]) mode = i;
  const smallest = exponents[mode];
  for (let i = 0; i < size; i++) exponents[i] = Math.floor((exponents[i] - smallest) / 2 ** 8);
  return { least, cumulative: fromExponents(exponents, mode) };
}

let known: Float64Array | undefined;

/** log2(n!) for n = 0 .. 65,536 in units of 2^-24: sums of logarithms that are rounded down bit by bit. */
function logFactorials(): Float64Array {
  if (known !== undefined) return known;
  known = new Float64Array(2 ** 16 + 1);
  for (let n = 1; n < known.length; n++) {
    const whole = 31 - Math.clz32(n);
    let x = n * 2 ** (31 - whole), logarithm = whole;
    for (let bit = 0; bit < 24; bit++) {
      // floor(x^2 / 2^31) of x below 2^32, without a product beyond 2^53
      const high = Math.floor(x / 2 ** 16), low = x % 2 ** 16;
      x = 2 * high * high + Math.floor((high * low * 2 ** 17 + low * low) / 2 ** 31);
      logarithm *= 2;
      if (x >= 2 ** 32) {
        x = Math.floor(x / 2);
        logarithm++;
      }
    }
    known[n] = known[n - 1] + logarithm;
  }
  return known;
}
