import { describe, expect, it } from "vitest";
import { BASE, readFile, readHeader, SIGNAL, STATE } from "../../src/container/format";
import { Limits } from "../../src/container/limits";
import * as errors from "../../src/errors";
import { bytesOf, jsonOf, namesIn } from "../conformance";

const FOLDERS = ["", "signals/", "bases/", "pyramids/", "exact/"];
const MALFORMED = jsonOf<{ error: keyof typeof errors; wrong: string }>("malformed/malformed.json");
/** What is wrong with these shows before anything is decoded. */
const OF_CONTAINER = [
  "magic", "text-mode", "version", "empty-header", "ends-in-magic", "ends-in-header", "ends-in-section", "header-checksum",
  "section-checksum", "bytes-behind", "header-length", "varint", "cbor-long-integer", "cbor-indefinite",
  "cbor-duplicate-key", "cbor-order", "cbor-tag", "cbor-nan", "cbor-depth", "cbor-mixed-keys", "cbor-ends", "unknown-key",
  "unknown-kind", "no-signal", "no-sections", "quality", "extra", "planes-of-state", "base-name", "tensor-axes",
  "tensor-dtype", "tensor-shared", "tensor-shared-few", "tensor-twice",
];

describe("readFile", () => {
  it.each(FOLDERS.flatMap(namesIn))("reads %s", (name) => {
    const data = bytesOf(`${name}.sinr`), { header, sections } = readFile(data);
    expect(header.fileBytes).toBe(data.length);
    expect(sections.map((section) => section.length)).toEqual(header.lengths);
  });

  it("tells what a header says", () => {
    const picture = readHeader(bytesOf("direct.sinr"));
    expect([picture.kind, picture.field, picture.signal]).toEqual([SIGNAL, [0, 2, 3, 4, 1, [0, 30]], [0, 8, 12, 0, 0]]);
    expect([picture.quality, picture.lengths, picture.headerBytes]).toEqual([3245, [59], 43]);
    const state = readHeader(bytesOf("state.sinr"));
    expect(state.kind).toBe(STATE);
    expect(state.manifest.at(-1)).toEqual({ name: "größe", shape: [2, 5], dtype: "int8" });
    expect(state.manifest.map((entry) => entry.dtype)).toContain("bfloat16");
    expect(readHeader(bytesOf("bases/patches.sinr")).base?.length).toBe(16);
    expect(readHeader(bytesOf("bases/shared.sinr"))).toMatchObject({ kind: BASE, patch: expect.any(Array) });
    expect(readHeader(bytesOf("progressive.sinr")).planes).toBe(3);
    expect([readHeader(bytesOf("exact/direct.sinr")).exact, picture.exact]).toEqual([true, false]);
  });

  it("reads whole sections of a file whose end is missing", () => {
    const data = bytesOf("progressive.sinr"), whole = readFile(data);
    const kept = readFile(data.subarray(0, data.length - 1), undefined, true);
    expect(kept.sections).toEqual(whole.sections.slice(0, -1));
  });

  it("refuses what is beyond the limits", () => {
    const data = bytesOf("direct.sinr");
    expect(() => readFile(data, new Limits({ maxFileBytes: data.length - 1 }))).toThrow(errors.LimitError);
    expect(() => readFile(data, new Limits({ maxSections: 0 }))).toThrow(errors.LimitError);
    expect(() => readFile(bytesOf("state.sinr"), new Limits({ maxTensors: 14 }))).toThrow(errors.LimitError);
    expect(() => readFile(bytesOf("state.sinr"), new Limits({ maxParams: 600 }))).toThrow(errors.LimitError);
  });

  it.each(OF_CONTAINER)("refuses the malformed file %s", (name) => {
    expect(() => readFile(bytesOf(`malformed/${name}.sinr`))).toThrow(errors[MALFORMED[name].error]);
  });

  it.each(Object.keys(MALFORMED).filter((name) => !OF_CONTAINER.includes(name)))("accepts the container of %s", (name) => {
    expect(() => readFile(bytesOf(`malformed/${name}.sinr`))).not.toThrow();
  });
});
