/** The parameters of a network from its section of a file (docs/format.md, sections 4.2, 6 and 11). */

import { type Coded, decodeRecords } from "./coding/records";
import type { Statistics } from "./coding/statistics";
import { Reader } from "./container/bytes";
import { DECODING } from "./container/limits";
import { InputError } from "./errors";
import type { Field } from "./fields/field";
import { Interlaced } from "./fields/interlaced";
import { Pyramid } from "./fields/pyramid";
import type { Params } from "./tensor";

const LEVELS = 4, RECORD = 6; // ids of the latents of a base

/** The parameters of a field by name: any `FormatError`. `statistics` are those of latents in the base that it needs. */
export function decodeNetwork(field: Field, coded: Coded, statistics?: Statistics): Params {
  if (field instanceof Pyramid || field instanceof Interlaced) {
    const reader = new Reader(coded.section, "pyramid", coded.budget), params = field.decodeSection(reader);
    reader.end();
    return params;
  }
  if (field.id !== LEVELS && field.id !== RECORD) return decodeRecords(field.parameters, coded);
  if (statistics === undefined) throw new InputError("latents: expected a base with statistics of them");
  const [{ name, shape }] = field.parameters;
  if (field.id === LEVELS) return new Map([[name, statistics.decode(coded.section, shape[0])]]);
  return new Map([[name, statistics.unscaled(decodeRecords(field.parameters, coded).get(name)!)]]);
}

/** Bytes that a number of the largest tensor takes while it is decoded; a pyramid counts its memory by itself. */
export function decodingBytes(field: Field): number {
  return field instanceof Pyramid || field instanceof Interlaced ? 0 : DECODING;
}
