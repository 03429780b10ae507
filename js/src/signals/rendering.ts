/** Rendering on regular grids of any dimension, in tiles: memory is that of the result and of a few tiles. */

import type { Numbers } from "../tensor";
import type { Cut, Stretch } from "./blocks";
import type { Networks, Steps } from "./networks";
import { productOf, toUnit, type Values } from "./numbers";
import { checkCount, type Range } from "./spans";

/** How values become samples. */
export interface Samples {
  /** Values b of a position. */
  readonly values: number;
  /** Room for so many samples. */
  allocate(count: number): Numbers;
  /** Samples of values, as many as `samples` holds. */
  finish(values: Values, samples: Numbers): void;
  /** What becomes of a value before it is blended with that of another block. */
  clip?(value: number): number;
}

/** Divides a box of lengths into boxes of at most `most` positions, in C order, with whole trailing axes where they fit. */
export function* boxesOf(shape: readonly number[], most: number): Generator<Range[]> {
  const extents = new Array<number>(shape.length);
  let room = Math.max(most, 1);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    extents[axis] = Math.min(shape[axis], room);
    room = extents[axis] === shape[axis] ? Math.max(1, Math.floor(room / Math.max(extents[axis], 1))) : 1;
  }
  const corner = new Array<number>(shape.length).fill(0);
  for (;;) {
    yield corner.map((at, axis) => [at, Math.min(at + extents[axis], shape[axis])]);
    let axis = shape.length - 1;
    for (; axis >= 0; axis--) {
      corner[axis] += extents[axis];
      if (corner[axis] < shape[axis]) break;
      corner[axis] = 0;
    }
    if (axis < 0) return;
  }
}

/** All combinations of coordinates in C order, (product of lengths, axes); `reversed`: the last axis' coordinate first. */
export function pointsOf(axes: readonly ArrayLike<number>[], reversed = false): Float32Array {
  const rank = axes.length, count = productOf(axes.map((axis) => axis.length));
  const points = new Float32Array(count * rank);
  let inner = count;
  axes.forEach((axis, number) => {
    const column = reversed ? rank - 1 - number : number, n = axis.length;
    inner /= n;
    for (let at = column, i = 0; at < points.length;) {
      for (let repeat = 0; repeat < inner; repeat++, at += rank) points[at] = axis[i];
      if (++i === n) i = 0;
    }
  });
  return points;
}

/** Samples of a tile put into the result: `box` is where, of a result (..shape, values). */
export function scatter(samples: Numbers, out: Numbers, shape: readonly number[], box: readonly Range[], values: number): void {
  const last = shape.length - 1, run = (box[last][1] - box[last][0]) * values;
  const rows = box.slice(0, last), place = rows.map(([first]) => first);
  for (let from = 0; from < samples.length; from += run) {
    let at = 0;
    for (let axis = 0; axis < last; axis++) at = at * shape[axis] + place[axis];
    at = (at * shape[last] + box[last][0]) * values;
    // The arrays are of one type.
    (out as Float64Array).set(samples.subarray(from, from + run) as Float64Array, at);
    for (let axis = last - 1; axis >= 0; axis--) {
      if (++place[axis] < rows[axis][1]) break;
      place[axis] = rows[axis][0];
    }
  }
}

/**
 * Samples (..lengths, values) of one network at all combinations of coordinates; the last coordinate first where they
 * are `reversed`. `whole` are the axes of the rendering that this one is a tile of.
 */
export function renderGrid(
  networks: Networks, axes: readonly Float32Array[], whole: readonly Float32Array[], samples: Samples, noun: string, reversed = false,
): Steps<Numbers> {
  const network = networks.part(0);
  return renderTiles(networks, axes.map((axis) => axis.length), samples, noun, (box) => {
    const some = cropped(axes, box);
    if (!reversed && network.onGrid !== undefined) return network.onGrid(some, whole);
    return network.at(pointsOf(some, reversed), boxSize(box));
  });
}

/** Samples (..shape, values) from the values of boxes; `LimitError` before anything is allocated. */
export function* renderTiles(
  networks: Networks, shape: readonly number[], samples: Samples, noun: string, valuesOf: (box: readonly Range[]) => Values,
): Steps<Numbers> {
  checkCount(shape, networks.bounds.samples / samples.values, noun);
  const out = samples.allocate(productOf(shape) * samples.values);
  yield* tiled(networks, shape, boxesOf(shape, networks.tile), samples, out, valuesOf);
  return out;
}

/** Values of a box of a result (..lengths, values), in C order. */
export type BoxValues = (place: readonly number[], positions: readonly Float64Array[]) => Values;

/**
 * Samples (..lengths, values) at all combinations of rising positions, from the networks of the blocks around them.
 *
 * `valuesOf` gives the values of the block at a place, at all combinations of some of these positions.
 */
export function* renderBlocks(
  networks: Networks,
  cut: Cut,
  positions: readonly Float64Array[],
  samples: Samples,
  noun: string,
  valuesOf: BoxValues,
): Steps<Numbers> {
  const shape = positions.map((axis) => axis.length), { values, clip = toUnit } = samples;
  checkCount(shape, networks.bounds.samples / values, noun);
  const out = samples.allocate(productOf(shape) * values);
  const stretches = positions.map((axis, number) => cut.stretches(number, axis));
  let here: readonly Stretch[] = [];
  function* boxes(): Generator<Range[]> {
    for (here of combinations(stretches)) {
      const lengths = here.map(({ first, last }) => last - first);
      for (const box of boxesOf(lengths, networks.tile)) {
        yield box.map(([first, last], axis) => [here[axis].first + first, here[axis].first + last]);
      }
    }
  }
  yield* tiled(networks, shape, boxes(), samples, out, (box) => {
    const some = cropped(positions, box), places = [...combinations(here.map(({ blocks }) => blocks))];
    if (places.length === 1) return valuesOf(places[0], some);
    const blend = new Float64Array(productOf(some.map((axis) => axis.length)) * values);
    for (const place of places) {
      const shares = productShares(some.map((axis, number) => cut.shares(number, place[number], axis)));
      const own = valuesOf(place, some);
      for (let i = 0, at = 0; i < shares.length; i++) {
        for (let channel = 0; channel < values; channel++, at++) blend[at] += shares[i] * clip(own[at]);
      }
    }
    return blend;
  });
  return out;
}

/** Values of a block's network at all combinations of positions, for `renderBlocks`. */
export function valuesInBlocks(networks: Networks, cut: Cut): BoxValues {
  return (place, positions) => {
    const axes = positions.map((axis, number) => cut.coordinates(number, place[number], axis));
    const network = networks.part(cut.numberOf(place));
    // As for points, whose values do not depend on a spacing.
    if (network.onGrid !== undefined) return network.onGrid(axes, axes.map((axis) => axis.subarray(0, 1)));
    return network.at(pointsOf(axes), productOf(axes.map((axis) => axis.length)));
  };
}

/** All combinations of items, the last list fastest. */
function* combinations<T>(lists: readonly (readonly T[])[]): Generator<T[]> {
  if (lists.length === 0) {
    yield [];
    return;
  }
  for (const first of lists[0]) for (const rest of combinations(lists.slice(1))) yield [first, ...rest];
}

function* tiled(
  networks: Networks,
  shape: readonly number[],
  boxes: Iterable<Range[]>,
  samples: Samples,
  out: Numbers,
  valuesOf: (box: readonly Range[]) => Values,
): Steps<void> {
  const total = out.length, room = samples.allocate(Math.min(total, networks.tile * samples.values));
  let done = 0;
  for (const box of boxes) {
    const count = boxSize(box) * samples.values;
    const some = room.subarray(0, count);
    samples.finish(valuesOf(box), some);
    scatter(some, out, shape, box, samples.values);
    done += count;
    yield done / total;
  }
}

/** Positions in a box. */
function boxSize(box: readonly Range[]): number {
  return productOf(box.map(([first, last]) => last - first));
}

/** Axes cut to a box. */
export function cropped<T extends Values>(axes: readonly T[], box: readonly Range[]): T[] {
  return axes.map((axis, number) => axis.subarray(box[number][0], box[number][1]) as T);
}

function productShares(axes: readonly Float64Array[]): Float64Array {
  return axes.reduce((product, axis) => {
    const longer = new Float64Array(product.length * axis.length);
    for (let i = 0, at = 0; i < product.length; i++) for (let j = 0; j < axis.length; j++) longer[at++] = product[i] * axis[j];
    return longer;
  }, Float64Array.of(1));
}
