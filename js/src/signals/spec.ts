/** What all kinds of signals have in common. */

import type { Cbor } from "../container/cbor";
import type { Networks, Steps } from "./networks";

/** Names of the kinds of signals. */
export type Kind = "image" | "audio" | "volume" | "dataset" | "video" | "shape" | "radiance";

/** What `describe` tells, ready for JSON. */
export interface Description {
  readonly type: Kind;
  /** Shape of the source. */
  readonly shape: readonly number[];
  readonly [entry: string]: unknown;
}

/** Description of a signal: all that a decoder needs besides the networks; immutable. */
export interface Spec<Options = never, Rendering = unknown> {
  readonly kind: Kind;
  /** Coordinates and values of a network. */
  readonly inputs: number;
  readonly outputs: number;
  /** Number of networks. */
  readonly parts: number;
  /** Values of a full decoding, and the bytes that a rendering takes for each of its values. */
  readonly values: number;
  readonly valueBytes: number;
  describe(): Description;
  /** Numbers of the networks that a rendering needs; `InputError` for options that leave no sample. */
  partsFor(options: Options): number[];
  /** Renders in steps; see the options of the kind. */
  render(networks: Networks, options: Options): Steps<Rendering>;
}

/** How a kind is read: the number of networks that a header's entry declares, and all of it with the side section. */
export interface Reader<S extends Spec> {
  partsIn(header: readonly Cbor[]): number;
  read(header: readonly Cbor[], side: Uint8Array): S;
}
