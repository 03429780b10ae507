/** Sines and exponentials from tables (docs/format.md, section 4.3). */

export const TURN = 2 ** 16, RADIAN = TURN / (2 * Math.PI), GAUSSIAN = 2 ** 14, MAGNITUDE = 2 ** 13, FRACTION = 20, FINE = 30;
/** A number added to it has the nearest integer in its low bits. */
export const ROUND = 1.5 * 2 ** 52;

/** The nearest integer, the even one of two, of a number below 2^51. */
export function round(x: number): number {
  return x + ROUND - ROUND;
}

// No entry is near the middle between two integers, so that all libraries round alike.

const tables = new Map<string, Float64Array>();

function table(name: string, entries: number, entry: (i: number) => number): Float64Array {
  let found = tables.get(name);
  if (!found) tables.set(name, (found = Float64Array.from({ length: entries }, (_, i) => Math.round(entry(i)))));
  return found;
}

export const sines = () => table("sines", TURN, (i) => 2 ** FRACTION * Math.sin(((2 * Math.PI) / TURN) * i));
export const fineSines = () => table("fine sines", TURN, (i) => 2 ** FINE * Math.sin(((2 * Math.PI) / TURN) * i));
export const gaussians = () => table("gaussians", 4 * GAUSSIAN, (i) => 2 ** FRACTION * Math.exp(-((i / GAUSSIAN) ** 2)));
export const magnitudes = () =>
  table("magnitudes", 16 * MAGNITUDE, (i) => (i < 16 * MAGNITUDE - 2 ? 2 ** FINE * Math.exp(1 - i / MAGNITUDE) : 0));

/** The entry of a turn nearest to a position. */
export function nearest(turn: Float64Array, position: number): number {
  const i = round(position);
  return turn[i - TURN * Math.floor(i / TURN)];
}

/** The value between the entries of a periodic table. */
export function within(entries: Float64Array, position: number): number {
  const floor = Math.floor(position), count = entries.length, i = floor - count * Math.floor(floor / count);
  const low = entries[i], high = entries[i + 1 === count ? 0 : i + 1];
  return low + (high - low) * (position - floor);
}
