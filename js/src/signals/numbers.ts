/** Numbers: rounding and limits. */

/** Values of networks, or blends of such. */
export type Values = Float32Array | Float64Array;

/** The nearest integer, the even one of two. */
export function nearest(x: number): number {
  const up = Math.round(x);
  return up - x === 0.5 && up % 2 !== 0 ? up - 1 : up;
}

/** A number limited to [low, high]. */
export function clip(x: number, low: number, high: number): number {
  return x < low ? low : x > high ? high : x;
}

/** A value limited to [-1, 1]; NaN counts as 1. */
export function toUnit(value: number): number {
  return value < 1 ? (value > -1 ? value : -1) : 1;
}

/** Product of the lengths of axes. */
export function productOf(lengths: readonly number[]): number {
  return lengths.reduce((product, n) => product * n, 1);
}
