/** The table of field families. */

import type { Cbor } from "../container/cbor";
import type { Field } from "./field";
import { HashGrid } from "./hashgrid";
import { idAndRest } from "./header";
import { Interlaced } from "./interlaced";
import { Mlp } from "./mlp";
import { Pyramid } from "./pyramid";
import { Radiance } from "./radiance";

const FAMILIES: Readonly<Record<number, (value: Cbor | undefined, maxParams: number) => Field>> = {
  0: (value, most) => Mlp.fromHeader(value, most),
  1: (value, most) => Radiance.fromHeader(value, most),
  2: (value, most) => HashGrid.fromHeader(value, most),
  5: (value, most) => Radiance.fromHeader(value, most),
  7: (value, most) => Pyramid.fromHeader(value, most),
  8: (value, most) => Interlaced.fromHeader(value, most),
};

/**
 * The field of a header's list, of at most `maxParams` parameters: `MalformedError`, `UnknownIdError` or `LimitError`.
 * Fields of files that need a base are read by `besideFromHeader` instead.
 */
export function fieldFromHeader(value: Cbor | undefined, maxParams: number): Field {
  const [id] = idAndRest(value, "a field", Object.keys(FAMILIES).map(Number));
  return FAMILIES[id](value, maxParams);
}
