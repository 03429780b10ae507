/**
 * Grids cut into blocks, a network for each, which fade into each other (docs/format-signals.md, "Pictures in blocks").
 *
 * Positions are real numbers in samples of the source, sample i at i + 1/2.
 */

import type { Cbor } from "../container/cbor";
import { expect, isWhole } from "./checks";
import { clip, productOf } from "./numbers";

/** Positions first .. last - 1 of an axis, and the blocks there: one, or the two at a seam. */
export interface Stretch {
  readonly first: number;
  readonly last: number;
  readonly blocks: readonly number[];
}

/** 0 before a seam, 1 behind it, and a straight line over `fade` samples on either side. */
function straight(distance: number, fade: number): number {
  return fade === 0 ? Number(distance >= 0) : clip(distance / (2 * fade) + 0.5, 0, 1);
}

/** How a grid is cut: samples and blocks by axis, and samples on either side of a seam that neighbours are blended over. */
export class Cut {
  /** Number of blocks, in C order. */
  readonly parts: number;

  constructor(
    readonly sizes: readonly number[],
    readonly counts: readonly number[],
    readonly fade: number,
    private readonly rise: (distance: number, fade: number) => number = straight,
  ) {
    this.parts = productOf(counts);
  }

  /** The cut that a header describes; `MalformedError` for anything that breaks a rule. */
  static of(sizes: readonly number[], counts: readonly Cbor[], fade: Cbor | undefined): Cut {
    const known = counts.map((count, axis) => {
      expect(isWhole(count, 1, sizes[axis]), `blocks: expected 1 to ${sizes[axis]} along an axis of ${sizes[axis]}`);
      return count;
    });
    const cut = new Cut(sizes, known, 0);
    expect(cut.parts > 1, "blocks: expected more than one");
    expect(isWhole(fade, 0, cut.mostFade), `fade of blocks: expected 0 to ${cut.mostFade}`);
    return new Cut(sizes, known, fade);
  }

  /** Longest fade that touches no more than the two blocks at a seam. */
  get mostFade(): number {
    const most = this.sizes.flatMap((n, axis) =>
      this.counts[axis] > 1 ? [Math.floor(Math.floor(n / this.counts[axis]) / 2)] : []);
    return most.length > 0 ? Math.min(...most) : 0;
  }

  /** A block's number along each axis. */
  placeOf(part: number): number[] {
    const place = new Array<number>(this.counts.length);
    for (let axis = place.length - 1; axis >= 0; axis--) {
      place[axis] = part % this.counts[axis];
      part = Math.floor(part / this.counts[axis]);
    }
    return place;
  }

  /** Inverse of `placeOf`. */
  numberOf(place: readonly number[]): number {
    return place.reduce((number, k, axis) => number * this.counts[axis] + k, 0);
  }

  /** First sample that a block owns; of the block after the last, the number of samples. */
  edge(axis: number, block: number): number {
    // As quotient and remainder: the product of block and size may be above 2^53.
    const n = this.sizes[axis], count = this.counts[axis];
    return block * Math.floor(n / count) + Math.floor((block * (n % count)) / count);
  }

  /** Samples first .. last - 1 along an axis that a block has a share in. */
  area(axis: number, block: number): readonly [number, number] {
    const reach = this.reach(axis);
    return [
      Math.max(this.edge(axis, block) - reach, 0),
      Math.min(this.edge(axis, block + 1) + reach, this.sizes[axis]),
    ];
  }

  /** Samples between the ends of the domain of every network, fades included. */
  extent(axis: number): number {
    return Math.ceil(this.sizes[axis] / this.counts[axis]) + 2 * this.reach(axis);
  }

  /** Coordinates in a block's domain of positions along an axis. */
  coordinates(axis: number, block: number, positions: Float64Array): Float32Array {
    const start = this.edge(axis, block) - this.reach(axis), extent = this.extent(axis);
    return Float32Array.from(positions, (x) => (2 * (x - start)) / extent - 1);
  }

  /** Share of a block at positions along an axis; the shares of all blocks sum to 1. */
  shares(axis: number, block: number, positions: Float64Array): Float64Array {
    const { rise, fade } = this, last = this.counts[axis] - 1;
    const begin = this.edge(axis, block), end = this.edge(axis, block + 1);
    return positions.map((x) =>
      (block === 0 ? 1 : rise(x - begin, fade)) * (1 - (block === last ? 0 : rise(x - end, fade))));
  }

  /** Rising positions, divided where one block has all of the share, and where two have some. */
  stretches(axis: number, positions: Float64Array): Stretch[] {
    const reach = this.reach(axis), last = this.counts[axis] - 1, found: Stretch[] = [];
    const near = Math.floor(((positions[0] + reach) * this.counts[axis]) / this.sizes[axis]);
    let block = Math.max(Math.min(near, last) - 1, 0), first = 0;
    const until = (end: number, blocks: readonly number[]): void => {
      let stop = first;
      while (stop < positions.length && positions[stop] < end) stop++;
      if (stop > first) found.push({ first, last: stop, blocks });
      first = stop;
    };
    for (; first < positions.length; block++) {
      const edge = block < last ? this.edge(axis, block + 1) : Infinity;
      until(edge - reach, [block]);
      until(edge + reach, [block, block + 1]);
    }
    return found;
  }

  /** Blocks that have a share in any combination of rising positions along the axes. */
  partsAt(positions: readonly Float64Array[]): number[] {
    const along = positions.map((axis, number) => [...new Set(this.stretches(number, axis).flatMap(({ blocks }) => blocks))]);
    return along.reduce((parts, blocks, axis) => parts.flatMap((part) => blocks.map((k) => part * this.counts[axis] + k)), [0]);
  }

  /** The fade along an axis: none where there is nothing to fade into. */
  private reach(axis: number): number {
    return this.counts[axis] > 1 ? this.fade : 0;
  }
}
