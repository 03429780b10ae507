/** Volume rendering along rays through a box (docs/format-signals.md, "Scenes": box, grid, coarse and fine pass). */

import type { Evaluator } from "../fields/field";
import type { Vector } from "./cameras";
import { clip, nearest } from "./numbers";

/** A step through a cell is empty at this opacity or less. */
const LEAST_ALPHA = 0.01;
/** Thickness before a step above which it is not evaluated. */
const MOST_THICKNESS = Math.log(1000);
const DENSITY_SCALE = 30;
const { fround } = Math;

/** The represented part of the world, and the sampling of rays through it. */
export interface Box {
  readonly low: Vector;
  readonly high: Vector;
  /** Where a camera's rays begin. */
  readonly near: number;
  /** Coarse steps along the diagonal, evaluations of the network in a step, and cells along every axis. */
  readonly steps: number;
  readonly fine: number;
  readonly cells: number;
}

/** Tables of the coarse pass, for cells^3 cells in C order. */
export interface Cells {
  /** 1 where a step in the cell may be visible. */
  readonly occupied: Uint8Array;
  /** Lower bound of the optical thickness of a step in the cell. */
  readonly opaque: Float32Array;
}

/** Length of a coarse step in the world, and in units of the longest half side. */
function stepsOf({ low, high, steps }: Box): { step: number; optical: number } {
  const sides = low.map((x, axis) => high[axis] - x), step = Math.hypot(...sides) / steps;
  return { step, optical: (2 * step) / Math.max(...sides) };
}

function density(raw: number): number {
  return DENSITY_SCALE * (Math.max(raw, 0) + Math.log1p(Math.exp(-Math.abs(raw))));
}

/** The tables of a network, in steps that yield the share done; `inside` has 1 for the cells of the hull. */
export function* cellsOf(network: Evaluator, box: Box, inside: Uint8Array, tile: number): Generator<number, Cells, void> {
  const { cells: n } = box, { optical } = stepsOf(box), thickness = new Float32Array(n ** 3);
  const points = new Float32Array(6 * tile), places = new Int32Array(tile);
  let count = 0;
  const evaluate = (): void => {
    const values = network.at(points.subarray(0, 6 * count), count);
    for (let i = 0; i < count; i++) thickness[places[i]] = fround(density(values[4 * i + 3])) * fround(optical);
    count = 0;
  };
  for (let place = 0; place < inside.length; place++) {
    if (inside[place] === 0) continue;
    const at = 6 * count, z = place % n, y = Math.floor(place / n) % n, x = Math.floor(place / (n * n));
    points.set([((x + 0.5) * 2) / n - 1, ((y + 0.5) * 2) / n - 1, ((z + 0.5) * 2) / n - 1, 0, 0, 1], at);
    places[count++] = place;
    if (count === tile) {
      evaluate();
      yield place / inside.length;
    }
  }
  evaluate();
  const largest = pooled(thickness, n, Math.max), occupied = new Uint8Array(n ** 3);
  for (let i = 0; i < occupied.length; i++) occupied[i] = Number(largest[i] > LEAST_ALPHA && inside[i] !== 0);
  return { occupied, opaque: pooled(thickness, n, Math.min) };
}

/** Extremes of the 3 x 3 x 3 cells around each cell; beyond the border are the border's own. */
function pooled(grid: Float32Array, n: number, extreme: (a: number, b: number) => number): Float32Array {
  let found = grid;
  for (const stride of [n * n, n, 1]) {
    const next = new Float32Array(found.length);
    for (let i = 0; i < found.length; i++) {
      const at = Math.floor(i / stride) % n;
      const before = at > 0 ? found[i - stride] : found[i], after = at < n - 1 ? found[i + stride] : found[i];
      next[i] = extreme(extreme(before, found[i]), after);
    }
    found = next;
  }
  return found;
}

/** Renders rays with buffers that are used again. */
export class RayTracer {
  private readonly step: number;
  private readonly optical: number;
  private readonly points: Float32Array;
  private readonly ray: Int32Array;
  private readonly seen: Float64Array;
  private readonly left: Float64Array;

  /** At most `most` rays at once; their points are evaluated by `tile`. */
  constructor(
    private readonly network: Evaluator, private readonly box: Box, private readonly cells: Cells,
    private readonly background: Vector, most: number, private readonly tile: number,
  ) {
    const { step, optical } = stepsOf(box), room = most * box.steps * box.fine;
    this.step = step;
    this.optical = optical / box.fine;
    this.points = new Float32Array(6 * room);
    this.ray = new Int32Array(room);
    this.seen = new Float64Array(3 * most);
    this.left = new Float64Array(most);
  }

  /** Bytes (count, 3) of rays from origins along unit directions, both (count, 3); count <= most. */
  trace(origins: Float32Array, directions: Float32Array, out: Uint8Array): void {
    const rays = directions.length / 3, { background, seen, left, ray, points, tile } = this;
    let count = 0;
    for (let i = 0; i < rays; i++) count = this.walk(origins, directions, i, count);
    seen.fill(0);
    left.fill(0);
    for (let from = 0; from < count; from += tile) {
      const stop = Math.min(from + tile, count), values = this.network.at(points.subarray(6 * from, 6 * stop), stop - from);
      for (let k = from, at = 0; k < stop; k++, at += 4) {
        const i = ray[k], thickness = density(values[at + 3]) * this.optical;
        const weight = Math.exp(-left[i]) * -Math.expm1(-thickness);
        left[i] += thickness;
        for (let channel = 0; channel < 3; channel++) seen[3 * i + channel] += weight / (1 + Math.exp(-values[at + channel]));
      }
    }
    for (let i = 0, at = 0; i < rays; i++) {
      const light = Math.exp(-left[i]);
      for (let channel = 0; channel < 3; channel++, at++) out[at] = toByte(seen[at] + (light * background[channel]) / 255);
    }
  }

  /** The coarse pass of a ray: its points are put behind the others; returns how many there are then. */
  private walk(origins: Float32Array, directions: Float32Array, number: number, count: number): number {
    const { box, cells, step, points, ray } = this, { low, high, steps, fine, cells: n } = box;
    const start = [0, 0, 0], advance = [0, 0, 0];
    let enter = -Infinity, exit = Infinity;
    for (let axis = 0; axis < 3; axis++) {
      const half = (high[axis] - low[axis]) / 2;
      start[axis] = (origins[3 * number + axis] - (low[axis] + high[axis]) / 2) / half;
      advance[axis] = directions[3 * number + axis] / half;
      const slope = Math.abs(advance[axis]) < 1e-9 ? 1e-9 : advance[axis];
      const one = (-1 - start[axis]) / slope, other = (1 - start[axis]) / slope;
      enter = Math.max(enter, Math.min(one, other));
      exit = Math.min(exit, Math.max(one, other));
    }
    enter = Math.max(enter, box.near);
    for (let axis = 0; axis < 3; axis++) start[axis] += enter * advance[axis];
    const length = exit - enter;
    let behind = 0;
    for (let k = 0; k < steps && behind < MOST_THICKNESS; k++) {
      const middle = (k + 0.5) * step;
      if (!(middle < length)) break;
      let cell = 0;
      for (let axis = 0; axis < 3; axis++) {
        const place = (start[axis] + middle * advance[axis] + 1) * (n / 2);
        cell = cell * n + Math.floor(clip(place, 0, n - 1));
      }
      if (cells.occupied[cell] !== 0) {
        for (let f = 0; f < fine; f++, count++) {
          const along = (k + (f + 0.5) / fine) * step, at = 6 * count;
          for (let axis = 0; axis < 3; axis++) {
            points[at + axis] = start[axis] + along * advance[axis];
            points[at + 3 + axis] = directions[3 * number + axis];
          }
          ray[count] = number;
        }
      }
      behind += cells.opaque[cell];
    }
    return count;
  }
}

/** NaN, from a damaged network, counts as 1. */
function toByte(colour: number): number {
  return nearest((colour < 1 ? (colour > 0 ? colour : 0) : 1) * 255);
}
