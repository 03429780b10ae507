/** The interfaces of fields: functions from positions to values, with parameters. */

import type { Entry, Params } from "../tensor";

export type { Entry } from "../tensor";

/** A network as a header describes it. Families are in `families.ts`. */
export interface Field {
  /** Id of the family, first entry of the header's list. */
  readonly id: number;
  /** Coordinates a and values b of one position. */
  readonly inputs: number;
  readonly outputs: number;
  /** Multiply-adds that an evaluation at one position takes as long as; for limits. */
  readonly cost: number;
  /** The parameters in storage order. */
  readonly parameters: readonly Entry[];
  /**
   * Whether samples are the same bits everywhere: "always" for a field of integers, "asked" where key 9 of the header asks
   * for it (docs/format.md, section 4.3), "never" for other fields.
   */
  readonly exact: "always" | "asked" | "never";
  /** The function, with fixed parameters, by integers where it is `exact`; `MalformedError` for weights too large for that. */
  evaluator(params: Params, exact: boolean): Evaluator;
}

/** A field with fixed parameters. */
export interface Evaluator {
  /** Values (count, b) at coordinates (count, a), both in C order. */
  at(coords: Float32Array, count: number): Float32Array;
  /**
   * Values (len axes[0], .., b) at all combinations of coordinates, where a family has a better way than by points, as
   * pyramids have. `whole` are the axes of the rendering that this one is a tile of, and tell its reduction; a single
   * coordinate along an axis stands for none. Called for many tiles: what they share is kept.
   */
  onGrid?(axes: readonly Float32Array[], whole: readonly Float32Array[]): Float32Array;
}
