/** Planes of last bits (docs/format.md, section 6.9). */

import { Reader } from "../container/bytes";
import { checkSymbols, RangeDecoder } from "./rangecoder";

const NEAR = 3; // levels from this distance to zero on share their counts
const MOST = 2 ** 10; // total of the counts at which they are halved
const LEAST = 2 ** 7; // the rarer bit has at least one of so many cases

/** What is missing from the levels of a file with planes, and which planes are there. */
export interface Planes {
  readonly there: readonly PlaneReader[];
  /** Planes of the whole file. */
  readonly all: number;
}

/** For files without planes. */
export const NO_PLANES: Planes = { there: [], all: 0 };

/** Reads a plane tensor by tensor. */
export class PlaneReader {
  private readonly reader: Reader;
  private readonly bytes: number;
  private decoder: RangeDecoder | undefined;
  private symbols = 0;

  /** The plane of a number, 0 for that of the highest bits. */
  constructor(data: Uint8Array, private readonly number: number) {
    this.reader = new Reader(data, "bit plane");
    this.bytes = data.length;
  }

  /** Appends the bits of this plane to the levels of the next tensor. */
  refine(levels: Float64Array): void {
    if (levels.length === 0) return;
    this.symbols += levels.length;
    checkSymbols(this.reader, this.symbols, this.bytes);
    const decoder = (this.decoder ??= new RangeDecoder(this.reader)), half = halfOf(this.number);
    const zeros = new Uint16Array(2 * NEAR + 1).fill(1), totals = new Uint16Array(2 * NEAR + 1).fill(2);
    for (let i = 0; i < levels.length; i++) {
      const context = NEAR + Math.min(Math.max(levels[i] - half, -NEAR), NEAR), total = totals[context];
      const bit = decoder.bit(Math.min(Math.max(LEAST * zeros[context], total), (LEAST - 1) * total), LEAST * total);
      levels[i] = 2 * levels[i] + bit;
      zeros[context] += 1 - bit;
      if (++totals[context] === MOST) {
        zeros[context] = Math.max(1, zeros[context] >> 1);
        totals[context] >>= 1;
      }
    }
  }

  /** Refuses bytes after the last tensor. */
  end(): void {
    this.decoder?.finish();
    this.reader.end();
  }
}

/** Half of 2^planes, rounded down. */
export function halfOf(planes: number): number {
  return Math.floor(2 ** planes / 2);
}
