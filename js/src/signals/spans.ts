/** Which samples of a grid a rendering has, and where they lie (docs/format.md, section 5). */

import { InputError, LimitError } from "../errors";
import { nearest, productOf } from "./numbers";

/** Samples first .. last - 1 out of `count` over the source's samples start .. stop - 1 of an axis of `size`. */
export interface Span {
  readonly size: number;
  readonly count: number;
  readonly start: number;
  readonly stop: number;
  readonly first: number;
  readonly last: number;
}

/** Samples of an axis from the first up to, but not including, the second. */
export type Range = readonly [start: number, stop: number];

/** What to render of a grid. */
export interface WindowOptions {
  /** Ranges of the source's samples by axis; axes that are left out at the end are whole. Default: everything. */
  readonly region?: readonly Range[];
  /** Factor on the source's size, one or one by axis. With a region, the result is that part of the whole. */
  readonly scale?: number | readonly number[];
  /** Samples of the result by axis: of the whole, or of the region. */
  readonly size?: readonly number[];
  /** Which samples of that result to compute, ranges by axis; for a rendering in tiles. Default: all. */
  readonly tile?: readonly Range[];
}

/** Samples of a rendering along each axis, and of the whole rendering that it may be a tile of. */
export interface Window {
  readonly spans: readonly Span[];
  readonly whole: readonly Span[];
}

const MOST_FACTOR = 2 ** 31;

/** Number of samples of a span. */
export function lengthOf(span: Span): number {
  return span.last - span.first;
}

/**
 * The samples that options ask for, of a grid of `sizes`.
 *
 * @throws InputError for a region, scale, size or tile that leaves no sample or lies outside.
 */
export function windowOf(sizes: readonly number[], options: WindowOptions, noun: string): Window {
  return tileOf(wholeOf(sizes, options, noun), options.tile);
}

/** The same before it is divided into tiles. */
export function wholeOf(sizes: readonly number[], { region, scale, size }: WindowOptions, noun: string): Span[] {
  if (scale !== undefined && size !== undefined) throw new InputError("scale and size: expected one of them, not both");
  const ranges = rangesOf("region", region, sizes, noun);
  if (size === undefined) {
    const factors = factorsOf(scale ?? 1, sizes.length);
    return sizes.map((n, axis) => scaled(n, ranges[axis], factors[axis]));
  }
  if (size.length !== sizes.length || !size.every((n) => Number.isSafeInteger(n) && n >= 1)) {
    throw new InputError(`size: expected ${sizes.length} integers of at least 1`);
  }
  return sizes.map((n, axis) => (
    { size: n, count: size[axis], start: ranges[axis][0], stop: ranges[axis][1], first: 0, last: size[axis] }));
}

/** A tile of a rendering, ranges of its samples by axis; all of it where there are none. */
export function tileOf(whole: readonly Span[], tile: readonly Range[] | undefined): Window {
  const parts = rangesOf("tile", tile, whole.map(lengthOf), "sample of the result");
  const spans = whole.map((span, axis) => (
    { ...span, first: span.first + parts[axis][0], last: span.first + parts[axis][1] }));
  return { spans, whole };
}

/** Positive factors, one for each axis. */
export function factorsOf(scale: number | readonly number[], axes: number): readonly number[] {
  const factors = typeof scale === "number" ? new Array<number>(axes).fill(scale) : scale;
  if (factors.length !== axes || !factors.every((factor) => factor > 0 && factor < MOST_FACTOR)) {
    throw new InputError(`scale: expected a number above 0, or one for each of ${axes} axes`);
  }
  return factors;
}

function rangesOf(name: string, given: readonly Range[] | undefined, sizes: readonly number[], noun: string): Range[] {
  if (given !== undefined && given.length > sizes.length) {
    throw new InputError(`${name}: expected [start, stop] for each of ${sizes.length} axes`);
  }
  return sizes.map((n, axis) => {
    const [start, stop] = given?.[axis] ?? [0, n];
    if (!Number.isInteger(start) || !Number.isInteger(stop) || !(0 <= start && start < stop && stop <= n)) {
      throw new InputError(`${name} ${start}:${stop}: expected 0 <= start < stop <= ${n}, in ${noun}s`);
    }
    return [start, stop];
  });
}

function scaled(size: number, [start, stop]: Range, factor: number): Span {
  const count = Math.max(1, nearest(size * factor));
  const first = Math.min(nearest((start * count) / size), count - 1);
  return { size, count, start: 0, stop: size, first, last: Math.max(nearest((stop * count) / size), first + 1) };
}

/** `LimitError` for a rendering of more than `most` positions. */
export function checkCount(shape: readonly number[], most: number, noun: string): void {
  if (productOf(shape) > most) {
    throw new LimitError(`a rendering of ${shape.join(" x ")} ${noun}s: above the limit of ${Math.floor(most)}`);
  }
}

/** Where the samples of a span lie among the source's, sample i of the source at i + 1/2. */
export function positionsOf({ start, stop, count, first, last }: Span): Float64Array {
  return Float64Array.from({ length: last - first }, (_, k) =>
    ((2 * (first + k) + 1) * (stop - start) + 2 * start * count) / (2 * count));
}

/** Conventions for coordinates: samples at the corners, aspect kept, the last axis first. */
export interface Grid {
  readonly corners: boolean;
  readonly aspect: boolean;
  readonly columnFirst: boolean;
}

/** Sample centres, every axis on [-1, 1], in the array's order. */
export const CENTRES: Grid = { corners: false, aspect: false, columnFirst: false };

/** Coordinates of a span's samples; `longest` is the longest axis of the source. */
export function coordinatesOf(grid: Grid, { size, count, start, stop, first, last }: Span, longest: number): Float32Array {
  const out = new Float32Array(last - first);
  if (grid.corners && size === 1) return out;
  const extent = !grid.aspect ? 1 : grid.corners ? (size - 1) / (longest - 1) : size / longest;
  for (let i = first; i < last; i++) {
    let unit: number;
    if (!grid.corners) {
      unit = ((2 * i + 1) * (stop - start) + 2 * start * count) / (count * size) - 1;
    } else if (count === 1) {
      // A single sample lies in the middle of its range.
      unit = (2 * (2 * start + (stop - 1 - start))) / (2 * (size - 1)) - 1;
    } else {
      unit = (2 * (start * (count - 1) + i * (stop - 1 - start))) / ((count - 1) * (size - 1)) - 1;
    }
    out[i - first] = unit * extent;
  }
  return out;
}
