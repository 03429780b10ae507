/** Metadata of zarr arrays (docs/format-signals.md, "Zarr metadata" and "Extended zarr metadata"). */

import { type Cbor, CborFloat } from "../container/cbor";
import { areWhole, expect, floatsOf, isList, isWhole } from "./checks";
import { parseJson } from "./json";

const PLAIN = new Set(["attributes", "chunks", "dimension_names"]);
const EXTENDED = new Set(["zarr_format", "fill_value", "shards", "ome"]);
const OME = ["attributes", "axes", "dropped", "scale", "translation", "version"];
const NOT_FINITE = new Set<Cbor>(["NaN", "Infinity", "-Infinity"]);
const FORM = "volume: expected the attributes, chunks and names of a zarr array in the side section";

/** What of the metadata is used here. */
export interface Zarr {
  readonly isExtended: boolean;
  /** Voxel size along each coordinate; empty where the source was no OME-Zarr image. */
  readonly spacing: readonly number[];
}

/**
 * The metadata of an array of so many axes, channels included.
 *
 * @throws MalformedError for anything else.
 */
export function zarrOf(metadata: Uint8Array, axes: number, coordinates: number): Zarr {
  const kept = parseJson(metadata);
  expect(isTextMap(kept), FORM);
  const keys = [...kept.keys()], extended = keys.filter((key) => EXTENDED.has(key));
  expect(keys.every((key) => PLAIN.has(key) || EXTENDED.has(key)), FORM);
  let spacing: readonly number[] = [], all = axes;
  if (kept.has("ome")) {
    const ome = omeOf(kept.get("ome")!);
    all += ome.dropped;
    expect(ome.kinds.length === all, FORM);
    spacing = ome.spacing;
    // A damaged file may tell of other axes; what it says of sizes is for reports alone.
    if (spacing.length !== coordinates) spacing = [];
  }
  expect(isTextMap(kept.get("attributes")), FORM);
  expect(areWhole(kept.get("chunks"), all, 1, Infinity), FORM);
  if (kept.has("shards")) expect(areWhole(kept.get("shards"), all, 1, Infinity), FORM);
  if (kept.has("dimension_names")) {
    const names = kept.get("dimension_names");
    expect(isList(names) && names.length === all && names.every((n) => n === null || typeof n === "string"), FORM);
  }
  if (kept.has("zarr_format")) expect(kept.get("zarr_format") === 2, FORM);
  if (kept.has("fill_value")) {
    const fill = kept.get("fill_value");
    expect(typeof fill === "number" || typeof fill === "bigint" || fill instanceof CborFloat || NOT_FINITE.has(fill!), FORM);
  }
  return { isExtended: extended.length > 0, spacing };
}

/** The axes of an OME-Zarr image. */
function omeOf(ome: Cbor): { kinds: string[]; dropped: number; spacing: number[] } {
  expect(isTextMap(ome) && [...ome.keys()].sort().join() === OME.join(), FORM);
  const axes = ome.get("axes"), dropped = ome.get("dropped");
  expect(typeof ome.get("version") === "string" && isTextMap(ome.get("attributes")) && isList(axes), FORM);
  const kinds = axes.map((axis) => {
    expect(isTextMap(axis) && axis.has("name") && [...axis.values()].every((text) => typeof text === "string"), FORM);
    const usual = (axis.get("name") as string).toLowerCase() === "c" ? "channel" : "";
    return (axis.get("type") as string | undefined) || usual;
  });
  expect(isList(dropped) && dropped.every((i) => isWhole(i, 0, kinds.length - 1)), FORM);
  expect(new Set(dropped).size === dropped.length, FORM);
  const [scale] = ["scale", "translation"].map((name) => {
    const list = ome.get(name), numbers = isList(list) ? floatsOf(list, kinds.length) : undefined;
    expect(numbers !== undefined, FORM);
    return numbers;
  });
  const left = kinds.flatMap((_, i) => (dropped.includes(i) ? [] : [i]));
  const channel = left.find((i) => kinds[i] === "channel");
  return { kinds, dropped: dropped.length, spacing: left.filter((i) => i !== channel).map((i) => scale[i]) };
}

function isTextMap(value: Cbor | undefined): value is Map<string, Cbor> {
  return value instanceof Map;
}
