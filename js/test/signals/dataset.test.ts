/** Side sections of datasets (docs/format-signals.md, "Side section" and "Network"). */

import { brotliCompressSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBrotli } from "../../src/coding/inflate";
import { type Cbor, CborFloat, type CborMap } from "../../src/container/cbor";
import { LimitError, MalformedError, TruncatedError } from "../../src/errors";
import { DatasetSpec, physical } from "../../src/signals/dataset";
import type { Networks } from "../../src/signals/networks";
import { cborOf, varintOf } from "../files";

beforeAll(loadBrotli);

const f = (value: number): CborFloat => new CborFloat(value);
const map = (entries: Record<string, Cbor>): CborMap => new Map(Object.entries(entries));
const number = (dtype: number, ...bytes: number[]): CborMap => new Map([[0, [dtype, Uint8Array.from(bytes)]]]);

/** A field over (2, 3) with levels of int16, an array, texts and byte strings, and a mask over the second dimension. */
const META: readonly Cbor[] = [
  [["y", 2], ["x", 3]], map({ title: "test", none: null }), [0], [], [[1]],
  [
    ["t", [0, 1], "int16", map({ _FillValue: number(7, 0xff, 0x7f), scale_factor: f(0.5), add_offset: f(10) }), [7, -100, 100], 0],
    ["x", [1], "uint8", map({ units: "degrees" })], ["names", [1], "text", map({}), ["a", "b", "c"]], ["codes", [1], "S2", map({})],
  ],
];
/** Differences of order 1: 10, 11, 13; three byte strings; a mask of bits, of which the second is set. */
const BODY: number[] = [1, 10, 1, 2, ...new TextEncoder().encode("aabbcc"), 0, 0b01000000];

function side(meta: Cbor, body: readonly number[] = BODY): Uint8Array {
  const coded = cborOf(meta), data = Uint8Array.from([...varintOf(coded.length), ...coded, ...body]);
  return Uint8Array.from([...varintOf(data.length), ...brotliCompressSync(data)]);
}

/** Networks whose values are the same everywhere. */
function networks(...values: number[]): Networks {
  const at = (_: Float32Array, count: number) => Float32Array.from({ length: count * values.length }, (_, i) => values[i % values.length]);
  return { part: () => ({ at }), tile: 4, bounds: { samples: 1e6, positions: 1e6, bytes: 1e6 } };
}

function rendered(meta: Cbor, values: number[], options = {}, body = BODY) {
  const steps = DatasetSpec.read([3], side(meta, body)).render(networks(...values), options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value.variables;
  }
}

/** META with another entry of a variable's record, or another part. */
function edited(part: number, edit: (entry: Cbor[]) => unknown): Cbor {
  const meta = copied(META) as Cbor[];
  edit(meta[part] as Cbor[]);
  return meta;
}

function copied(value: Cbor): Cbor {
  return Array.isArray(value) ? value.map(copied) : value;
}

describe("a dataset", () => {
  it("has what its side section says", () => {
    const spec = DatasetSpec.read([3], side(META)), found = rendered(META, [0.5]);
    expect([spec.inputs, spec.outputs, spec.parts, spec.values]).toEqual([2, 1, 1, 15]);
    expect(spec.describe()).toMatchObject({ shape: [2, 3], variables: ["t"], masked: ["t"], exact: ["x", "names", "codes"] });
    expect(found.get("t")!.data).toEqual(Int16Array.of(50, 32767, 50, 50, 32767, 50));
    expect(physical(found.get("t")!)).toEqual(Float64Array.of(35, NaN, 35, 35, NaN, 35));
    expect(found.get("x")!.data).toEqual(Uint8Array.of(10, 11, 13));
    expect(found.get("names")!.data).toEqual(["a", "b", "c"]);
    expect(new TextDecoder().decode(found.get("codes")!.data as Uint8Array)).toBe("aabbcc");
    expect(found.get("x")!.attrs.get("units")).toBe("degrees");
  });

  it("is rendered in part", () => {
    const found = rendered(META, [0.5], { region: { x: [1, 3], y: [1, 2] } });
    expect(found.get("t")).toMatchObject({ shape: [1, 2], data: Int16Array.of(32767, 50) });
    expect(found.get("names")!.data).toEqual(["b", "c"]);
    expect(new TextDecoder().decode(found.get("codes")!.data as Uint8Array)).toBe("bbcc");
    expect([...rendered(META, [0], { variables: ["x"] }).keys()]).toEqual(["x"]);
  });

  it("is rendered between its samples, without what has none there", () => {
    const found = rendered(META, [0.5], { scale: { x: 2 } });
    expect([...found.keys()]).toEqual(["t", "x"]);
    expect(found.get("x")!.data).toEqual(Float64Array.of(10, 10.5, 11, 12, 13));
    // The nearest sample tells whether a value is missing; of two that are equally near, the even one.
    expect(found.get("t")!.data).toEqual(Int16Array.of(50, 50, 32767, 50, 50, 50, 50, 32767, 50, 50));
  });

  it("has masks as the cells that differ from those above", () => {
    // Over (y, x): changes at cells 0, 1, 4, so that the second row is 1 0 0.
    const body = [...BODY.slice(0, -2), 1, 3, 1, 1, 3, ...new Array<number>(9).fill(0)];
    const found = rendered(edited(4, (masks) => (masks[0] = [0, 1])), [0.5], {}, body);
    expect(Array.from(found.get("t")!.data as Int16Array, (x) => Number(x === 32767))).toEqual([1, 1, 0, 1, 0, 0]);
    const part = rendered(edited(4, (masks) => (masks[0] = [0, 1])), [0.5], { region: { y: [1, 2], x: [0, 2] } }, body);
    expect(part.get("t")!.data).toEqual(Int16Array.of(32767, 50));
  });

  it("has words of 64 bits and floats, by differences of order 2", () => {
    const meta = edited(5, (variables) => variables.splice(1, 3, ["big", [1], "int64", map({})], ["x", [1], "float16", map({})]));
    // The words -1, 2, 0 modulo 2^64 in planes: their sums -1, 1, 1 have the sums -1, 0, 1.
    const planes = [2, 0xff, 2, 0, ...Array.from({ length: 7 }, () => [0xff, 0, 0]).flat()];
    const found = rendered(meta, [0], {}, [...planes, 0, 0, 0, 0, 0x3c, 0x40, 0x42, 0, 0]);
    expect(found.get("big")!.data).toEqual(BigInt64Array.of(-1n, 0n, 1n));
    expect(physical(found.get("x")!)).toEqual(Float64Array.of(1, 2, 3));
  });

  it("with unsigned numbers in signed ones has their bits", () => {
    const meta = edited(5, (variables) => (variables[0] = ["t", [0, 1], "int8", map({ _Unsigned: "true", _FillValue: number(6, 255) }), [0, 0, 250], 0]));
    const found = rendered(meta, [1]).get("t")!;
    expect(found.data).toEqual(Int8Array.of(-6, -1, -6, -6, -1, -6));
    expect(physical(found)).toEqual(Float64Array.of(250, NaN, 250, 250, NaN, 250));
  });

  it.each<[string, Cbor, number[]?]>([
    ["no list", map({})], ["five parts", META.slice(0, 5)], ["two dimensions of a name", edited(0, (dims) => dims.push(["x", 3]))],
    ["a dimension of 0", edited(0, (dims) => (dims[0] = ["y", 0]))], ["a dimension that no variable has", edited(0, (dims) => dims.push(["z", 3]))],
    ["a dimension that is not there", edited(2, (dims) => dims.push(2))], ["a mask without dimensions", edited(4, (masks) => (masks[0] = []))],
    ["two variables of a name", edited(5, (variables) => (variables[1] = variables[2]))], ["no field", edited(5, (variables) => variables.shift())],
    ["a field over a dimension twice", edited(5, (variables) => ((variables[0] as Cbor[])[1] = [0, 0]))], ["a field of bool", edited(5, (variables) => ((variables[0] as Cbor[])[2] = "bool"))],
    ["levels of another dtype", edited(5, (variables) => ((variables[0] as Cbor[])[4] = [2, 0, 1]))], ["a mask that is not there", edited(5, (variables) => ((variables[0] as Cbor[])[5] = 1))],
    ["a fill value that the dtype lacks", edited(5, (variables) => ((variables[0] as Cbor[])[3] = map({ _FillValue: f(0.5) })))],
    ["no fill value for integers", edited(5, (variables) => ((variables[0] as Cbor[])[3] = map({})))],
    ["a nested list of fill values", edited(5, (variables) => ((variables[0] as Cbor[])[3] = map({ _FillValue: [[1]] })))],
    ["a map of numbers", edited(5, (variables) => ((variables[1] as Cbor[])[3] = map({ scale_factor: map({ a: 1 }) })))],
    ["too few texts", edited(5, (variables) => ((variables[2] as Cbor[])[4] = ["a", "b"]))], ["an unknown dtype", edited(5, (variables) => ((variables[1] as Cbor[])[2] = "complex64"))],
    ["byte strings of no bytes", edited(5, (variables) => ((variables[3] as Cbor[])[2] = "S0"))], ["a number of too few bytes", edited(5, (variables) => ((variables[1] as Cbor[])[3] = map({ a: number(7, 1) })))],
    ["earth without longitude", edited(3, (earth) => earth.push("x"))], ["earth by a field", edited(3, (earth) => earth.push("x", "t", true))],
    ["more bytes than arrays", edited(4, (masks) => masks.pop()), BODY], ["an array beyond the end", META, BODY.slice(0, 3)],
    ["steady dimensions without earth", [...META, map({ steady: [1] })]], ["a gap without a mask", [...META, map({ gaps: [[0, number(7, 1, 0), 1]] })]],
    ["a gap of another dtype", [...META, map({ gaps: [[0, number(6, 1), 0]] })]], ["names of a variable that is not there", [...META, map({ enums: [[4, "e", map({ a: 1 })]] })]],
    ["an unused dimension that is used", [...META, map({ unused: [["x", 3, false]] })]],
  ])("with %s is malformed", (_, meta, body) => {
    expect(() => DatasetSpec.read([3], side(meta, body))).toThrow(MalformedError);
  });

  it.each<[string, number[]]>([
    ["differences of order 3", [3, ...BODY.slice(1)]], ["a mask of form 2", [...BODY.slice(0, -2), 2, 0]],
    ["a gap of 0", [...BODY.slice(0, -2), 1, 1, 0, 0, 0, 0]], ["gaps beyond the mask", [...BODY.slice(0, -2), 1, 1, 4, 0, 0, 0]],
    ["bytes behind the masks", [...BODY, 0]],
  ])("with %s is malformed when it is used", (_, body) => {
    expect(() => rendered(META, [0], {}, body)).toThrow(MalformedError);
  });

  it("that is too large, or ends early, is refused", () => {
    expect(() => DatasetSpec.read([3], Uint8Array.from([...varintOf(2 ** 28 + 1), 6]))).toThrow(LimitError);
    expect(() => DatasetSpec.read([3], side(META).subarray(0, 40))).toThrow(TruncatedError);
    expect(() => rendered(META, [0], {}, BODY.slice(0, -1))).toThrow(TruncatedError);
    expect(() => DatasetSpec.read([3], side(edited(5, (v) => v.push(...new Array<Cbor>(2 ** 14).fill(0)))))).toThrow(LimitError);
  });

  it("in blocks has a number for each dimension", () => {
    expect(DatasetSpec.read([11, [2, 1], 0], side(META)).parts).toBe(2);
    for (const header of [[11, [2], 0], [11, [1, 1], 0], [11, [3, 1], 0], [11, [2, 1], 1], [11, [2, 0], 0]]) {
      expect(() => DatasetSpec.read(header, side(META))).toThrow(MalformedError);
    }
  });

  it("on the globe refuses angles that are none", () => {
    const earth = (latitude: number) => {
      const meta = edited(3, (parts) => parts.push("y", "x", true)) as Cbor[];
      (meta[5] as Cbor[]).splice(1, 1, ["y", [0], "uint8", map({})], ["x", [1], "uint8", map({})]);
      return rendered(meta, [0], {}, [0, 0, latitude, ...BODY]);
    };
    expect(earth(90).get("t")!.shape).toEqual([2, 3]);
    expect(() => earth(91)).toThrow(MalformedError);
  });
});
