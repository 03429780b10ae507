/** The networks of a file, as renderers see them. */

import type { Evaluator } from "../fields/field";
import { LimitError } from "../errors";

/** What a rendering may take (docs/format.md, section 8). */
export interface Bounds {
  /** Values of a result. */
  readonly samples: number;
  /** Evaluations of a network, in a rendering or in a view of a scene. */
  readonly positions: number;
  /** Bytes of what is computed on the way. */
  readonly bytes: number;
}

/** The networks of a file, one for each part of its signal. */
export interface Networks {
  /** The network of a part; its weights are decoded on first use. */
  part(number: number): Evaluator;
  /** Positions to evaluate at once. */
  readonly tile: number;
  readonly bounds: Bounds;
}

/** A rendering in steps: yields the share that is done, 0 .. 1, after each, and returns the result. */
export type Steps<R> = Generator<number, R, void>;

/** `LimitError` where something takes more than a bound. */
export function checkBound(what: string, count: number, most: number, limit: string): void {
  if (count > most) {
    throw new LimitError(`${what}: takes ${count} for ${limit}; this reader accepts ${Math.floor(most)}`);
  }
}

/** Steps whose share is that from `begin` on, `part` of more work. */
export function* scaled<R>(steps: Steps<R>, begin: number, part: number): Steps<R> {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    yield begin + part * step.value;
  }
}
