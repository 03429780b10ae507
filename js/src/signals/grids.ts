/** Signals on a regular grid, whole or in blocks: what pictures, volumes, videos and shapes share. */

import { allocate, type DType, type Numbers } from "../tensor";
import type { Cut } from "./blocks";
import type { Levels } from "./levels";
import { checkBound, type Networks, type Steps } from "./networks";
import { productOf } from "./numbers";
import { renderBlocks, renderGrid, type Samples, valuesInBlocks } from "./rendering";
import { CENTRES, checkCount, coordinatesOf, type Grid, lengthOf, positionsOf, type Window } from "./spans";

const AXIS_BYTES = 32; // of a coordinate while it is computed

/** Samples of a window, (..lengths, values) in C order. */
export interface Rendered {
  readonly data: Numbers;
  readonly lengths: readonly number[];
}

/** The samples of a grid that a header describes: sizes by axis, and in how many blocks they are cut. */
export interface Gridded {
  readonly sizes: readonly number[];
  readonly cut: Cut | undefined;
  readonly grid?: Grid;
}

/** Samples by the linear map of levels. */
export function samplesOf(levels: Levels, values: number): Samples {
  return {
    values,
    allocate: (count) => allocate(levels.dtype, count),
    finish: (from, samples) => levels.toSamples(from, samples),
  };
}

/** Renders a window from the networks of the blocks that it touches; `LimitError` before anything is allocated. */
export function* renderWindow(
  networks: Networks, { sizes, cut, grid = CENTRES }: Gridded, samples: Samples, window: Window, noun: string,
): Steps<Rendered> {
  const lengths = window.spans.map(lengthOf);
  checkCount(lengths, networks.bounds.samples / samples.values, noun);
  const coordinates = lengths.reduce((sum, n) => sum + n, 0);
  checkBound(`the coordinates of ${noun}s`, AXIS_BYTES * coordinates, networks.bounds.bytes, "max_bytes");
  let data: Numbers;
  if (cut !== undefined) {
    const positions = window.spans.map(positionsOf);
    data = yield* renderBlocks(networks, cut, positions, samples, noun, valuesInBlocks(networks, cut));
  } else {
    const longest = Math.max(...sizes);
    const axes = window.spans.map((span) => coordinatesOf(grid, span, longest));
    const whole = window.whole.map((span) => coordinatesOf(grid, span, longest));
    data = yield* renderGrid(networks, axes, whole, samples, noun, grid.columnFirst);
  }
  return { data, lengths };
}

/** Numbers of the networks that a window touches. */
export function partsIn({ spans }: Window, cut: Cut | undefined): number[] {
  return cut === undefined ? [0] : cut.partsAt(spans.map(positionsOf));
}

/** Blocks by axis and fade, for a description; nothing in one piece. */
export function describeCut(cut: Cut | undefined): { blocks?: readonly number[]; fade?: number } {
  return cut === undefined ? {} : { blocks: cut.counts, fade: cut.fade };
}

/** Values of a full decoding. */
export function valuesOf(sizes: readonly number[], outputs: number): number {
  return productOf(sizes) * outputs;
}

/** Bytes of a sample of a dtype. */
export function bytesOf(dtype: DType): number {
  return allocate(dtype, 0).BYTES_PER_ELEMENT;
}
