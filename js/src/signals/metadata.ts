/** What a source told besides its samples, in the map `extra` of a header (docs/format.md, section 3). */

import { type Cbor, CborFloat, type CborMap, decodeCbor } from "../container/cbor";
import { inflate } from "../coding/inflate";
import { FormatError } from "../errors";
import { isList, isMap } from "./checks";

const MOST_BYTES = 2 ** 20;

/** An item of metadata as plain JavaScript. */
export type Item = null | boolean | number | bigint | string | Uint8Array | Item[] | { [key: string]: Item };

/** The metadata in `extra`, by name; empty where there are none, and where they are damaged. */
export function metadataIn(extra: CborMap | undefined): Record<string, Item> {
  const packed = extra?.get("metadata");
  if (!(packed instanceof Uint8Array)) return {};
  try {
    const data = inflate(packed, MOST_BYTES, "metadata");
    const found = data.length <= MOST_BYTES ? decodeCbor(data) : null;
    return isMap(found) && [...found.keys()].every((key) => typeof key === "string") ? entriesOf(found) : {};
  } catch (error) {
    if (error instanceof FormatError) return {};
    throw error;
  }
}

/** A CBOR value as plain JavaScript. */
export function plain(value: Cbor): Item {
  if (value instanceof CborFloat) return value.value;
  if (isList(value)) return value.map(plain);
  return isMap(value) ? entriesOf(value) : value;
}

function entriesOf(map: CborMap): { [key: string]: Item } {
  // A key such as "__proto__" is an entry like others.
  return Object.fromEntries([...map].map(([key, value]) => [String(key), plain(value)]));
}
