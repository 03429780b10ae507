/** All kinds of signals by the ids that their headers begin with (docs/format.md, section 3). */

import type { Cbor } from "../container/cbor";
import { MalformedError, UnknownIdError } from "../errors";
import { type AudioSpec, SOUNDS } from "./audio";
import { isList } from "./checks";
import { type DatasetSpec, DATASETS } from "./dataset";
import { type ImageSpec, IMAGES } from "./image";
import { type RadianceSpec, SCENES } from "./radiance";
import { type ShapeSpec, SHAPES } from "./shape";
import type { Reader } from "./spec";
import { type VideoSpec, VIDEOS } from "./video";
import { type VolumeSpec, VOLUMES } from "./volume";

/** The description of any kind of signal. */
export type AnySpec = ImageSpec | AudioSpec | VolumeSpec | DatasetSpec | VideoSpec | ShapeSpec | RadianceSpec;

const READERS: readonly Reader<AnySpec>[] = [
  IMAGES, SOUNDS, VOLUMES, DATASETS, VIDEOS, SHAPES, SCENES, IMAGES, VOLUMES, VIDEOS, SHAPES, DATASETS,
];
const MOST_LETTERS = 64;

/** Number of networks that a header's entry declares; `MalformedError` or `UnknownIdError` where it breaks a rule. */
export function partsIn(entry: Cbor): number {
  const [header, reader] = readerOf(entry);
  return reader.partsIn(header);
}

/** The description in a header's entry and a side section; a `FormatError` where they break a rule. */
export function specOf(entry: Cbor, side: Uint8Array): AnySpec {
  const [header, reader] = readerOf(entry);
  return reader.read(header, side);
}

function readerOf(entry: Cbor): [readonly Cbor[], Reader<AnySpec>] {
  const form = "signal header: expected a list that starts with the signal's id";
  if (!isList(entry) || entry.length === 0) throw new MalformedError(form);
  const [id] = entry;
  if (typeof id === "string") {
    const letters = [...id].length;
    if (letters < 1 || letters > MOST_LETTERS) throw new MalformedError(`signal id: expected 1 to ${MOST_LETTERS} letters`);
    throw new UnknownIdError(`signal id ${JSON.stringify(id)}: of another package, not known here`);
  }
  if (typeof id !== "number" && typeof id !== "bigint") throw new MalformedError(form);
  const reader = READERS[Number(id)];
  if (reader === undefined) throw new UnknownIdError(`signal id ${id}: not known to this version`);
  return [entry, reader];
}
