/** Bounds on the memory and the work that a reader spends on a file it does not trust (docs/format.md, section 8). */

import { LimitError } from "../errors";
import { bytesOf, type Entry, sizeOf } from "../tensor";

/** Bytes that a number of the largest tensor takes while it is decoded. */
export const DECODING = 16;

/** Bounds that do not depend on the file. */
const DEFAULTS = {
  /** Size of the whole file. */
  maxFileBytes: 2 ** 30,
  /** Size of the CBOR header. */
  maxHeaderBytes: 2 ** 20,
  maxSections: 2 ** 16,
  /** Tensors of a state dict. */
  maxTensors: 2 ** 16,
  /** Numbers in all tensors together. */
  maxParams: 2 ** 30,
  /** Values of a decoded signal. */
  maxSamples: 2 ** 33,
};

export type LimitName = keyof typeof DEFAULTS | "maxBytes" | "maxWork";

/** Upper bounds of a reader. Each is checked before the memory that it bounds is allocated. */
export class Limits {
  /** Bounds that are given have any size of file; others have their defaults. */
  constructor(private readonly given: Partial<Record<LimitName, number>> = {}) {}

  /** The limits for a file of so many bytes. */
  ofFile(size: number): Limits {
    return new Limits({
      maxBytes: Math.min(2 ** 27 + 2 ** 20 * size, 2 ** 34),
      maxWork: Math.min(2 ** 36 + 2 ** 32 * size, 2 ** 50),
      ...this.given,
    });
  }

  /** A limit, that of the smallest file where it depends on the file's size. */
  bound(name: LimitName): number {
    const { given } = this;
    if (name === "maxBytes") return given.maxBytes ?? 2 ** 27;
    if (name === "maxWork") return given.maxWork ?? 2 ** 36;
    return given[name] ?? DEFAULTS[name];
  }

  /** `LimitError` where a value is above a limit; `what` begins the message. */
  check(name: LimitName, value: number, what = "the file declares"): void {
    const bound = this.bound(name);
    if (value > bound) {
      throw new LimitError(`${what} ${value} for ${name}; this reader accepts ${bound}; for a file that you trust, raise it`);
    }
  }

  /**
   * `LimitError` for more numbers than `maxParams` in `networks` times these tensors, or more memory than `maxBytes` for
   * as many of them as are kept, where each number of the largest takes `decoding` bytes meanwhile.
   */
  checkTensors(entries: readonly Entry[], networks = 1, kept = networks, decoding = DECODING): void {
    const sizes = entries.map(({ shape }) => sizeOf(shape));
    this.check("maxParams", networks * sizes.reduce((sum, size) => sum + size, 0));
    const bytes = entries.reduce((sum, { dtype }, i) => sum + sizes[i] * bytesOf(dtype), 0);
    this.check("maxBytes", kept * bytes + decoding * sizes.reduce((most, size) => Math.max(most, size), 0), "weights of so many bytes:");
  }
}

export const DEFAULT_LIMITS = new Limits();
