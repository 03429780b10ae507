/** Planes of numbers on a grid. */

import { sizeOf } from "../tensor";

/** First position and end of a part of a grid, by axis. */
export type Window = readonly (readonly [number, number])[];

/** Numbers of some planes: (planes, *shape) in C order. */
export interface Planes {
  readonly data: Float64Array;
  readonly count: number;
  readonly shape: readonly number[];
}

/** The places of a grid, by axis, in raster order, each plus a start. */
export function placesOf(shape: readonly number[], picks: readonly Int32Array[]): Int32Array {
  let places = Int32Array.of(0);
  picks.forEach((pick, axis) => {
    const next = new Int32Array(places.length * pick.length);
    for (let i = 0, at = 0; i < places.length; i++) for (let x = 0; x < pick.length; x++) next[at++] = places[i] * shape[axis] + pick[x];
    places = next;
  });
  return places;
}

/** The planes at all combinations of positions along each axis. */
export function take({ data, count, shape }: Planes, picks: readonly Int32Array[]): Planes {
  const places = placesOf(shape, picks), size = sizeOf(shape), out = new Float64Array(count * places.length);
  for (let plane = 0, at = 0; plane < count; plane++) for (let i = 0; i < places.length; i++) out[at++] = data[plane * size + places[i]];
  return { data: out, count, shape: picks.map((pick) => pick.length) };
}

/** The integers from `start` to `end` - 1, each as `of` changes it. */
export function range(start: number, end: number, of: (x: number) => number = (x) => x): Int32Array {
  return Int32Array.from({ length: Math.max(0, end - start) }, (_, i) => of(start + i));
}

export function clip(x: number, low: number, high: number): number {
  return Math.min(Math.max(x, low), high);
}
