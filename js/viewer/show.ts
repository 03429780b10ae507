/** What the modules of the kinds have in common. */

import type { Decoder } from "./decoder";

/** Where a file is shown. */
export interface Stage {
  readonly element: HTMLElement;
  readonly decoder: Decoder;
  /** The file's name. */
  readonly name: string;
  /** Tells a share of work that takes long, undefined when it is done. */
  progress(share: number | undefined): void;
  /** Tells of a problem in one line. */
  problem(reason: unknown): void;
}

/** A file that is shown; it can be put away. */
export interface Shown {
  close?(): void;
  /** A file of the same kind has come in a better state. */
  refresh?(): void;
}
